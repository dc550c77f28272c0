package proxy

import (
	"errors"
	"time"

	"alicorn/proxy/eventloop"
)

// Continuation is called with a suspended Exchange after an event.
type Continuation interface {
	// Continue goes on in place of the action or handler that has suspended x, and
	// returns what that would return. If the event is not the one that it waits for,
	// it suspends x again.
	Continue(x *Exchange) error
}

// errSuspended is returned by an action or handler that has suspended its exchange.
var errSuspended = errors.New("exchange is suspended")

// Suspend makes x wait for an event without a goroutine, and then go on with k. The
// caller, an action or handler of any phase, returns the error that Suspend returns, and
// uses x no more. After k has returned nil, x goes on after the action.
func (x *Exchange) Suspend(k Continuation) error {
	x.waiting.watch()
	x.pending = k
	return errSuspended
}

// SuspendUpgraded is Suspend for an exchange whose connection was upgraded. The client's
// leaving is no event then: whoever uses the upgraded connection sees it.
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

// Meanwhile calls f for each event of x while the response waits for a slow client, so that
// other work of x goes on; nil ends that. f does not write the response.
func (x *Exchange) Meanwhile(f func()) {
	x.meanwhile = f
	x.wire.Meanwhile(f)
}

// Sleep suspends x for d, or until its client has left: the action or handler then ends
// with ErrClientGone.
func (x *Exchange) Sleep(d time.Duration) error {
	x.waiting.due = time.Now().Add(d)
	return sleep{}.Continue(x)
}

// sleep is Sleep's Continuation.
type sleep struct{}

// lookEvery is how often an exchange that sleeps checks its client if the wire does not
// report that the client leaves.
const lookEvery = time.Second

// Continue suspends x until its time is over.
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

// Offload runs f, which blocks or works for long, after the lead was given away.
func (x *Exchange) Offload(f func()) {
	if x.wire != nil { // nil: x serves only to evaluate variables
		x.wire.Detach()
	}
	f()
}

// Loop returns the loop that calls the exchange's connection; nil without one. Other
// connections that serve the exchange should be in the same loop.
func (x *Exchange) Loop() *eventloop.Loop { return x.wire.Loop() }

// Now returns the time of the loop's turn if x runs in one, which saves reading the clock;
// nginx does the same.
func (x *Exchange) Now() time.Time { return x.wire.Now() }

// Suspended reports whether x has a Continuation to go on with.
func (x *Exchange) Suspended() bool { return x.pending != nil }

// Park gives a suspended exchange away: the goroutine that brings an event makes the wire
// resume it, perhaps before Park returns. If an event has come already, Park returns
// false, and the caller calls Engine.Resume.
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
	defer x.rescue()
	x.settle(x.advance(k.Continue(x)))
}

// resumeHere waits and goes on with x on the caller's goroutine for as long as x is
// suspended, if the wire cannot wait without a goroutine.
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
	if x.pending == nil {
		x.log()
		e.exit(x)
	}
}
