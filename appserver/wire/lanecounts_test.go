//go:build linux

package wire_test

import (
	"encoding/binary"
	"errors"
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
		if err := ours.Check(); err != nil {
			t.Fatal(err)
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
			id, ok, err := ours.TakeBack()
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				by[id].Add(1)
				in--
			}
		}
		if err := ours.Check(); err != nil {
			t.Fatal(err)
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

// The count of requests that were taken does not go back, except by one for a request that both
// sides have tried for. In the steps the front puts (p), takes back (b) and checks (c), the worker
// takes (t), announces (a) and says one less (-).
func TestTheCountOfTakenRequestsDoesNotGoBack(t *testing.T) {
	for _, c := range []struct {
		name, steps string
		want        bool // a breach, at the end
	}{
		{"taken", "ppptcptc", false},
		{"taken, and denied", "ptc-", true},
		{"taken, and one of two denied", "ppttc-", true},
		{"denied before the front has looked", "pt-", false},
		{"denied below requests that were taken back", "ptppbb-", true},
		{"denied that was never tried for", "ppppbttc-", true},
		{"denied above one that was taken back before", "pbppptttcpppbtc-", true},
		{"announced, but taken back", "pbac-", false},
		{"announced, but another one by now", "pbacpc-", false},
		{"announced, twice denied", "ptcpbac--", true},
		{"announced, the newest of two that were taken back", "ppppbbttac-", false},
		{"announced, a newer one than was taken back before", "ppppbppbttttac-", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := wiretest.Pair(t, 9)
			word, err := theirs.Word(wire.LaneTaken), error(nil)
			for _, step := range c.steps {
				if err != nil {
					t.Fatal(err)
				}
				switch step {
				case 'p':
					ours.Put(1, end(wire.KindRequest, 1))
				case 'b':
					_, _, err = ours.TakeBack()
				case 'c':
					err = ours.Check()
				case 't':
					theirs.Take()
				case 'a':
					word.Add(1)
				case '-':
					word.Add(^uint32(0))
				}
			}
			if err := ours.Check(); errors.Is(err, wire.ErrLane) != c.want {
				t.Errorf("got %v from Check, want a breach: %v", err, c.want)
			}
			if _, _, err := ours.TakeBack(); errors.Is(err, wire.ErrLane) != c.want {
				t.Errorf("got %v from TakeBack, want a breach: %v", err, c.want)
			}
		})
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
