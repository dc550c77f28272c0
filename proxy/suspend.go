package proxy

import (
	"errors"
	"time"

	"alicorn/proxy/eventloop"
)

// Continuation is the rest of an action or handler that has suspended its Exchange.
type Continuation interface {
	// Continue is called after an event. It goes on in place of the action or handler
	// that has suspended x, and returns what that would return. If it waits for another
	// event, it suspends x again.
	Continue(x *Exchange) error
}

// errSuspended is returned by an action or handler that has suspended its exchange.
var errSuspended = errors.New("exchange is suspended")

// Suspend makes x wait for an event without a goroutine, and then go on with k. The
// caller is an action or handler of any phase. It returns the error that Suspend returns,
// and does not use x any more. After k has returned nil, x goes on after the action.
func (x *Exchange) Suspend(k Continuation) error {
	x.waiting.watch()
	x.pending = k
	return errSuspended
}

// SuspendUpgraded is Suspend for an exchange whose connection was upgraded. No event comes
// when the client leaves: the code that uses the upgraded connection sees that.
func (x *Exchange) SuspendUpgraded(k Continuation) error {
	x.waiting.used = true
	x.pending = k
	return errSuspended
}

// Await waits for an event on the caller's goroutine, which gives the lead away.
func (x *Exchange) Await() {
	w := x.waiting
	w.watch()
	x.wire.Detach()
	if w.bell == nil {
		w.bell = make(chan struct{}, 1)
	}
	if w.leave(awaiting) {
		<-w.bell
	}
}

// Meanwhile makes f be called for each event of x while the response waits for a slow
// client, so that other work of x goes on. f must not write the response. The events are
// not lost for the code that writes: its next wait ends at once. Meanwhile(nil) ends the
// calls.
func (x *Exchange) Meanwhile(f func()) {
	x.meanwhile = f
	x.wire.Meanwhile(f)
}

// Sleep suspends x for d. If the client leaves before, the action or handler ends with
// ErrClientGone.
func (x *Exchange) Sleep(d time.Duration) error {
	x.waiting.due = time.Now().Add(d)
	return sleep{}.Continue(x)
}

// sleep is Sleep's Continuation.
type sleep struct{}

// lookEvery is how often an exchange that sleeps checks its client if the wire does not
// report that the client leaves.
const lookEvery = time.Second

// Continue suspends x until its time is over, or the client has left.
func (k sleep) Continue(x *Exchange) error {
	if x.wire.Gone() {
		return ErrClientGone
	}
	w := x.waiting
	left := time.Until(w.due)
	if left <= 0 {
		return nil
	}
	err := x.Suspend(k)
	if !w.watched {
		left = min(left, lookEvery)
	}
	w.startTimer(left)
	return err
}

// Offload gives the lead away and then runs f, which blocks or computes for long.
func (x *Exchange) Offload(f func()) {
	if x.wire != nil { // nil: x serves only to evaluate variables
		x.wire.Detach()
	}
	f()
}

// Loop returns the loop that calls the exchange's connection; nil without one. Other
// connections that serve the exchange should be in the same loop.
func (x *Exchange) Loop() *eventloop.Loop { return x.wire.Loop() }

// Now returns the time at which x's loop last polled for events, which saves reading the
// clock, as in nginx; the present time if x does not run in a turn of a loop.
func (x *Exchange) Now() time.Time { return x.wire.Now() }

// Suspended reports whether x is suspended.
func (x *Exchange) Suspended() bool { return x.pending != nil }

// Park gives a suspended exchange away. The goroutine that brings an event makes the wire
// resume x, perhaps before Park returns. If an event has come already, Park returns false,
// and the caller must call Engine.Resume.
func (x *Exchange) Park() bool { return x.waiting.leave(suspended) }

// Resume goes on with a suspended exchange after an event.
func (e *Engine) Resume(x *Exchange) {
	defer e.leave(x)
	x.goOn()
}

// goOn calls the Continuation of a suspended exchange, and goes on after it.
func (x *Exchange) goOn() {
	k := x.pending
	x.pending = nil
	if _, ended := k.(lasting); ended {
		return
	}
	defer x.rescue()
	x.settle(x.advance(k.Continue(x)))
}

// lasting is what an exchange waits with that has ended but for its copies: see Mirror.
type lasting struct{}

// Continue is never called.
func (lasting) Continue(*Exchange) error { return nil }

// resumeHere is for a wire that cannot wait without a goroutine. For as long as x is
// suspended, it waits and goes on with x on the caller's goroutine.
func (e *Engine) resumeHere(x *Exchange) {
	for x.pending != nil && !x.wire.Suspends() {
		x.Await()
		e.Resume(x)
	}
}

// leave logs x and gives its Generation back, unless x is suspended.
func (e *Engine) leave(x *Exchange) {
	if x.wire.Overran() {
		x.place().overruns.Add(1)
	}
	if x.pending == nil && x.copies.Load() > 0 {
		x.waiting.used = true
		x.pending = lasting{}
	}
	if x.pending == nil {
		x.log()
		e.exit(x)
	}
}
