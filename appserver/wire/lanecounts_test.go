//go:build linux

package wire_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
)

// end returns a frame without payload that has the flag END.
func end(kind byte, id uint32) []byte { return wire.AppendHeader(nil, kind, wire.FlagEnd, id) }

func TestTheWorkerTakesTheOldestAndTheFrontTheNewest(t *testing.T) {
	ours, theirs := wiretest.Pair(t, 9)
	var in []uint32 // the requests in the lane, the oldest first
	for id := uint32(1); id < 3000; id++ {
		switch n := rand.IntN(3); {
		case n == 0 && len(in) < ours.Geometry().Requests:
			ours.Put(id, end(wire.KindRequest, id))
			in = append(in, id)
		case n == 1:
			got, ok := theirs.Take()
			if ok != (len(in) > 0) || ok && got != in[0] {
				t.Fatalf("the worker: got %d, %v, want the first of %v", got, ok, in)
			}
			in = in[min(1, len(in)):]
		case n == 2:
			got, ok, err := ours.TakeBack()
			if err != nil || ok != (len(in) > 0) || ok && got != in[len(in)-1] {
				t.Fatalf("the front: got %d, %v, %v, want the last of %v", got, ok, err, in)
			}
			in = in[:max(len(in)-1, 0)]
		}
		if n := theirs.Word(wire.LanePut).Load() - theirs.Word(wire.LaneTaken).Load(); int(n) != len(in) {
			t.Fatalf("got PUT - TAKEN = %d, want %d", n, len(in))
		}
	}
}

func TestTheWorkerSeesWhetherTheFrontIsBusy(t *testing.T) {
	ours, theirs := wiretest.Pair(t, 9)
	for i, busy := range []bool{false, true, true, false, true} {
		ours.SetBusy(busy)
		if got := theirs.Word(wire.LaneBusy).Load() == 1; got != busy {
			t.Errorf("step %d: got %v, want %v", i, got, busy)
		}
	}
}

// Each request is taken once, by one of the two sides.
func TestBothSidesTakeAtOnce(t *testing.T) {
	ours, theirs := wiretest.Pair(t, 9)
	const total = 30000
	var received atomic.Int64
	var ended atomic.Bool
	by := make([]atomic.Int32, total+1)
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			id, ok := theirs.Take()
			switch {
			case ok:
				by[id].Add(1)
				received.Add(1)
			case ended.Load():
				return
			}
		}
	}()
	in := int64(0)
	for id := uint32(1); id <= total; {
		if in-received.Load() < int64(ours.Geometry().Requests) {
			ours.Put(id, end(wire.KindRequest, id))
			in++
			id++
		}
		if rand.IntN(3) == 0 {
			if id, ok, _ := ours.TakeBack(); ok {
				by[id].Add(1)
				in--
			}
		}
	}
	for in != received.Load() {
	}
	ended.Store(true)
	<-done
	for id := range by[1:] {
		if n := by[id+1].Load(); n != 1 {
			t.Fatalf("request %d: got it taken %d times, want 1", id+1, n)
		}
	}
}

func TestResponsesAreReceivedInOrder(t *testing.T) {
	ours, theirs := wiretest.Pair(t, 9)
	b := make([]byte, wire.MaxFrame)
	sent, got, large := uint32(0), uint32(0), uint32(0)
	for range 2000 {
		if rand.IntN(2) == 0 && !theirs.Full() {
			sent++
			frame := append(end(wire.KindHead, sent), make([]byte, rand.IntN(wire.LaneEntry-12))...)
			if sent-got < wire.LaneBlocks && rand.IntN(2) == 0 { // a block that the front has copied
				large++
				frame = append(end(wire.KindHead, sent), make([]byte, wire.LaneEntry-11+rand.IntN(wire.MaxFrame-wire.LaneEntry+4))...)
				frame[len(frame)-1] = byte(sent)
				theirs.PublishIn(sent%wire.LaneBlocks, frame, uint32(len(frame)))
			} else {
				theirs.Publish(frame, uint32(len(frame)))
			}
		}
		if rand.IntN(2) == 0 && ours.Answered() {
			n, err := ours.Receive(b)
			if got++; err != nil || n < wire.HeaderSize || binary.LittleEndian.Uint32(b[4:]) != got {
				t.Fatalf("got %d bytes, %v, %v, want response %d", n, b[:wire.HeaderSize], err, got)
			}
			if n > wire.LaneEntry-4 && b[n-1] != byte(got) {
				t.Fatalf("response %d of %d bytes ends with %d, want %d", got, n, b[n-1], byte(got))
			}
		}
	}
	if sent < 100 || large < 100 {
		t.Errorf("got %d responses, %d of them in blocks, want at least 100", sent, large)
	}
}
