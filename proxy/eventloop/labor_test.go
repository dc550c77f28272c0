//go:build linux

package eventloop

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// However much work there is, the scheduler can run each leader that comes back from
// the poller.
func TestLaborLeavesTheLoopsTheirs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(6))
	for loops, want := range map[int]int{1: 5, 2: 4, 5: 1, 6: 1, 9: 1} {
		if g := newGroup(t, loops); cap(g.places) != want {
			t.Errorf("%d loops and %d processors: %d places, want %d", loops, 6, cap(g.places), want)
		}
	}
}

// There is one place. While the first owner waits for its peer the second has it.
func TestLaborWaitsForAPlace(t *testing.T) {
	g := newGroup(t, 2)
	g.places = make(chan struct{}, 1)
	first, peer := pair(t, g.Next())
	second, _ := pair(t, g.Next())
	for _, c := range []*Conn{first, second} {
		if err := c.StartOwned(); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	steps := make(chan string, 8)
	begun := make(chan bool, 1)
	begin := make(chan bool)
	go func() {
		first.Labor()
		first.Labor() // it has one
		begun <- true
		<-begin
		steps <- "first works"
		first.Read(make([]byte, 1))
		steps <- "first works again"
		first.Rest()
		first.Rest()
		begun <- true
	}()
	within(t, begun, "the first place")
	done := make(chan bool, 1)
	go func() {
		second.Labor()
		steps <- "second works"
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		second.Rest()
		done <- true
	}()
	close(begin)
	within(t, done, "the second's work")
	within(t, begun, "the first's end")
	close(steps)
	var got []string
	for s := range steps {
		got = append(got, s)
	}
	if len(got) != 3 || got[0] != "first works" || got[1] != "second works" || got[2] != "first works again" {
		t.Errorf(`%q, want 3 of them, "first works", "second works" and "first works again"`, got)
	}
	if len(g.places) != 0 {
		t.Errorf("%d places are taken at the end, want 0", len(g.places))
	}
}

// busySource is a Source that expects work while it says so, and never has any.
type busySource struct{ expects atomic.Bool }

func (s *busySource) Poll(*Turn) bool { return false }
func (s *busySource) Sleep(bool) bool { return false }
func (s *busySource) Expects() bool   { return s.expects.Load() }

// Of two places labor takes one while a Source expects work, and both otherwise.
func TestLaborLeavesHalfToOthersThatWork(t *testing.T) {
	g := newGroup(t, 2)
	g.places, g.half = make(chan struct{}, 2), make(chan struct{}, 1)
	source := new(busySource)
	g.loops[1].AddSource(source)
	var owners [3]*Conn
	for i := range owners {
		owners[i], _ = pair(t, g.loops[0])
		if err := owners[i].StartOwned(); err != nil {
			t.Fatal(err)
		}
		defer owners[i].Close()
	}
	source.expects.Store(true)
	owners[0].Labor()
	taken := make(chan bool, 1)
	go func() {
		owners[1].Labor()
		taken <- true
	}()
	select {
	case <-taken:
		t.Error("a second place was taken while a Source expected work")
	case <-time.After(50 * time.Millisecond):
	}
	source.expects.Store(false)
	owners[2].Labor() // takes the other half
	owners[2].Rest()
	owners[0].Rest()
	within(t, taken, "the second's place")
	owners[1].Rest()
	if len(g.places) != 0 || len(g.half) != 0 {
		t.Errorf("%d and %d places are taken at the end, want none", len(g.places), len(g.half))
	}
}

// Two threads share a processor. One gives way after each look at the other's work, which has
// gone on then in some cases. Without that all looks are over before the first time slice ends.
func TestOthersRunAfterGiveWay(t *testing.T) {
	var here unix.CPUSet
	if err := unix.SchedGetaffinity(0, &here); err != nil {
		t.Fatal(err)
	}
	var one unix.CPUSet
	for cpu := 0; one.Count() == 0; cpu++ {
		if here.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	pin := func() {
		runtime.LockOSThread() // never unlocked: the pinned thread ends with its goroutine
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Error(err)
		}
	}
	const looks, enough = 5000, 3
	var work atomic.Int64
	var over atomic.Bool
	working, ended, gone := make(chan bool), make(chan bool), make(chan int)
	go func() {
		defer close(ended)
		pin()
		close(working)
		for !over.Load() {
			work.Add(1)
		}
	}()
	<-working
	go func() {
		pin()
		n := 0
		for i := 0; i < looks && n < enough; i++ {
			before := work.Load()
			if GiveWay(); work.Load() != before {
				n++
			}
		}
		gone <- n
	}()
	n := <-gone
	over.Store(true)
	<-ended
	if n < enough {
		t.Errorf("the other thread ran after %d of %d calls, want %d", n, looks, enough)
	}
}
