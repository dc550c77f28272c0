//go:build linux

package appserver

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// newTestLane returns both sides of a lane. Its counts begin just below 2^32.
func newTestLane(t *testing.T, requests int) (*lane, *fakeLane) {
	t.Helper()
	ours, memory, err := newLane(requests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ours.close)
	memory.Close()
	theirs := &fakeLane{size: ours.size, mem: ours.mem}
	const begin = 1<<32 - 5
	ours.puts, ours.reads, theirs.taken, theirs.answered = begin, begin, begin, begin
	for _, at := range []int{lanePut, laneTaken, laneAnswered, laneRead} {
		ours.word(at).Store(begin)
	}
	return ours, theirs
}

func testFrame(kind byte, id uint32) []byte { return appendHeader(nil, kind, flagEnd, id) }

func TestTheWorkerTakesTheOldestAndTheFrontTheNewest(t *testing.T) {
	ours, theirs := newTestLane(t, 9)
	var in []uint32 // what is in the lane, oldest first
	for id := uint32(1); id < 3000; id++ {
		switch n := rand.IntN(3); {
		case n == 0 && len(in) < int(ours.size):
			ours.put(id, testFrame(frameRequest, id))
			in = append(in, id)
		case n == 1:
			got, ok := theirs.take()
			if ok != (len(in) > 0) || ok && got != in[0] {
				t.Fatalf("the worker took %d, %v of %v", got, ok, in)
			}
			in = in[min(1, len(in)):]
		case n == 2:
			got, ok, err := ours.takeBack()
			if err != nil || ok != (len(in) > 0) || ok && got != in[len(in)-1] {
				t.Fatalf("the front took %d, %v of %v", got, ok, in)
			}
			in = in[:max(len(in)-1, 0)]
		}
		if n := ours.word(lanePut).Load() - theirs.taken; int(n) != len(in) {
			t.Fatalf("PUT is %d ahead of what was taken, want %d", n, len(in))
		}
	}
}

// Each request is taken once, whole, by one side, whatever they do at once.
func TestBothSidesTakeAtOnce(t *testing.T) {
	ours, theirs := newTestLane(t, 9)
	const total = 30000
	var received atomic.Int64
	var ended atomic.Bool
	by := make([]atomic.Int32, total+1)
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			id, ok := theirs.take()
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
		if in-received.Load() < int64(ours.size) {
			ours.put(id, testFrame(frameRequest, id))
			in++
			id++
		}
		if rand.IntN(3) == 0 {
			if id, ok, _ := ours.takeBack(); ok {
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
			t.Fatalf("request %d was taken %d times", id+1, n)
		}
	}
}

func TestResponsesAreReceivedInOrder(t *testing.T) {
	ours, theirs := newTestLane(t, 9)
	b := make([]byte, maxFrame)
	sent, got := uint32(0), uint32(0)
	for range 2000 {
		if rand.IntN(2) == 0 && theirs.answered-ours.word(laneRead).Load() < ours.size {
			sent++
			frame := append(testFrame(frameHead, sent), make([]byte, rand.IntN(laneEntry-12))...)
			theirs.publish(frame, uint32(len(frame)))
		}
		if rand.IntN(2) == 0 && ours.answered() {
			n, err := ours.receive(b)
			if got++; err != nil || n < headerSize || binary.LittleEndian.Uint32(b[4:]) != got {
				t.Fatalf("received %d bytes of %v, %v; want %d", n, b[:headerSize], err, got)
			}
		}
	}
	if sent < 100 {
		t.Errorf("only %d were sent", sent)
	}
}
