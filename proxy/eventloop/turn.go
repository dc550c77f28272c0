package eventloop

import (
	"sync/atomic"
	"time"
)

// Turn is a goroutine's time as the leader of a Loop. Handlers get it to find
// out whether they still hold the lead.
type Turn struct {
	loop *Loop
	// step is even while the goroutine leads between handlers, odd inside one,
	// and left or taken once another goroutine leads. It counts, so that the watch
	// can tell one long handler from many short ones.
	step atomic.Uint32
	now  time.Time
	// behind is how many descriptors that are ready wait for the handler to return.
	behind int
}

// The steps of a goroutine that does not lead any more; all others are less.
const (
	taken = ^uint32(0) - iota // by the watch
	left                      // by Detach

	firstLost = left
)

// enter begins a handler's time.
func (t *Turn) enter() { t.step.Store(t.step.Load() + 1) }

// leave ends it; false when the lead was handed over meanwhile.
func (t *Turn) leave() bool {
	s := t.step.Load()
	return s < firstLost && t.step.CompareAndSwap(s, (s+1)&^(1<<31))
}

// Detach hands the lead to another goroutine; the caller may then wait. It is
// for the handler's goroutine, and costs nothing the second time.
func (t *Turn) Detach() {
	if s := t.step.Load(); s < firstLost && t.step.CompareAndSwap(s, left) {
		t.loop.follow()
	}
}

// Left reports whether another goroutine leads.
func (t *Turn) Left() bool { return t.step.Load() >= firstLost }

// taken reports whether the watch has taken the lead from the handler.
func (t *Turn) taken() bool { return t.step.Load() == taken }

// Alone reports whether the handler leads and nothing else is ready: it may go
// on for a while and delays nobody.
func (t *Turn) Alone() bool {
	return !t.Left() && t.behind == 0 && !t.loop.poller.pending()
}

// Readied says that the handler has made another goroutine runnable, which
// should run before the Loop waits.
func (t *Turn) Readied() {
	if !t.Left() {
		t.loop.readied.Store(true)
	}
}

// Now returns the time at which this turn's readiness was learned; the present
// once another goroutine leads.
func (t *Turn) Now() time.Time {
	if t.Left() {
		return time.Now()
	}
	return t.now
}

// watch takes the lead from a handler that has been running since seen was
// read, and reports what step is.
func (t *Turn) watch(seen uint32) uint32 {
	s := t.step.Load()
	if s == seen && s&1 == 1 && s < firstLost && t.step.CompareAndSwap(s, taken) {
		t.loop.follow()
	}
	return s
}
