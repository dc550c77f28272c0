package eventloop

import (
	"sync/atomic"
	"time"
)

// Turn is the time in which one goroutine leads a Loop. It tells handlers whether they still
// lead.
type Turn struct {
	loop *Loop
	// step is even between handlers and odd inside one, and left or taken once another
	// goroutine leads. It counts up, so that the watch can tell one long handler from
	// many short ones.
	step atomic.Uint32
	now  time.Time
	last time.Duration // how long the turn before took; 0: the Loop has waited since
	// behind is the number of ready descriptors that wait for the handler to return.
	behind int
	busy   bool // see Busy
}

// The steps of a goroutine that does not lead any more; all others are less.
const (
	taken = ^uint32(0) - iota // the watch has taken the lead
	left                      // Detach has given it away

	firstLost = left
)

// begin begins the next turn. slept: the Loop may have waited since the last one.
func (t *Turn) begin(slept bool) {
	now := time.Now()
	t.last = 0
	if !slept {
		t.last = now.Sub(t.now)
	}
	t.now = now
}

// enter begins a handler's time.
func (t *Turn) enter() { t.step.Store(t.step.Load() + 1) }

// leave ends a handler's time. It returns false if another goroutine leads by now.
func (t *Turn) leave() bool {
	s := t.step.Load()
	return s < firstLost && t.step.CompareAndSwap(s, (s+1)&^(1<<31))
}

// Detach gives the lead to another goroutine; the caller may then wait. Only the
// handler's goroutine may call it. A second call does nothing.
func (t *Turn) Detach() {
	if s := t.step.Load(); s < firstLost && t.step.CompareAndSwap(s, left) {
		t.loop.follow()
	}
}

// Left reports whether another goroutine leads.
func (t *Turn) Left() bool { return t.step.Load() >= firstLost }

// taken reports whether the watch has taken the lead from the handler.
func (t *Turn) taken() bool { return t.step.Load() == taken }

// Alone reports whether the handler leads and nothing else is ready: if it goes on for a
// while, it delays nobody.
func (t *Turn) Alone() bool {
	return !t.Left() && t.behind == 0 && !t.loop.poller.pending()
}

// Busy reports whether the Loop has recently had work for most of the time.
func (t *Turn) Busy() bool { return t.busy }

// Readied notes that the handler has made another goroutine runnable, which should run
// before the Loop waits.
func (t *Turn) Readied() {
	if !t.Left() {
		t.loop.readied.Store(true)
	}
}

// Now returns the time at which the poller has reported this turn's events; once another
// goroutine leads, the present time.
func (t *Turn) Now() time.Time {
	if t.Left() {
		return time.Now()
	}
	return t.now
}

// watch takes the lead from the handler if it has been running since step was seen. It
// returns the present step.
func (t *Turn) watch(seen uint32) uint32 {
	s := t.step.Load()
	if s == seen && s&1 == 1 && s < firstLost && t.step.CompareAndSwap(s, taken) {
		t.loop.follow()
	}
	return s
}
