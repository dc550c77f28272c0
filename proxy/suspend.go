package proxy

import (
	"errors"
	"time"

	"alicorn/proxy/eventloop"
)

// Continuation is what an Exchange does after an event.
type Continuation interface {
	// Continue goes on as the action or handler would have that has suspended x:
	// what it returns is what that returns. Where the event is not the one that it
	// waits for it suspends x again.
	Continue(x *Exchange) error
}

// errSuspended is returned by an action or handler that has suspended its exchange.
var errSuspended = errors.New("exchange is suspended")

// Suspend has x wait for an event without a goroutine, and go on with k. The action
// or handler, which may be of any phase, returns the error that Suspend gives, and
// leaves x alone. After k has returned nil x goes on behind the action.
func (x *Exchange) Suspend(k Continuation) error {
	x.waiting.watch()
	x.pending = k
	return errSuspended
}

// Await waits for an event on the caller's goroutine. Other requests go on.
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

// Sleep suspends x for d, or until its client has left: the error that the caller
// returns is ErrClientGone then.
func (x *Exchange) Sleep(d time.Duration) error {
	x.waiting.due = time.Now().Add(d)
	return sleep{}.Continue(x)
}

// sleep is Sleep's Continuation.
type sleep struct{}

// lookEvery is how often an exchange that sleeps looks for its client where the
// wire does not report that it leaves.
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

// Offload runs f, which blocks or works for long. Other requests go on.
func (x *Exchange) Offload(f func()) {
	if x.wire != nil { // nil: x is there for variables alone
		x.wire.Detach()
	}
	f()
}

// Loop returns the loop that calls the exchange's connection, where other connections
// that serve it are best called, too; nil without one.
func (x *Exchange) Loop() *eventloop.Loop { return x.wire.Loop() }

// Now returns the time, as old as the turn of the loop that x runs in: as with nginx, what
// a request measures of itself costs no reading of the clock.
func (x *Exchange) Now() time.Time { return x.wire.Now() }

// Suspended reports whether x waits for an event, or has one to look at.
func (x *Exchange) Suspended() bool { return x.pending != nil }

// Park lets a suspended exchange go: whoever brings an event has the wire resume it,
// perhaps before Park returns. It is false where one has come: the caller calls
// Engine.Resume.
func (x *Exchange) Park() bool { return x.waiting.leave(suspended) }

// Resume goes on with a suspended exchange.
func (e *Engine) Resume(x *Exchange) {
	defer e.leave(x)
	x.goOn()
}

// goOn does what a suspended exchange has put off.
func (x *Exchange) goOn() {
	k := x.pending
	x.pending = nil
	defer x.rescue()
	x.settle(x.advance(k.Continue(x)))
}

// resumeHere waits with x on the caller's goroutine, and goes on with it, as often
// as it is suspended, where its wire needs the goroutine.
func (e *Engine) resumeHere(x *Exchange) {
	for x.pending != nil && !x.wire.Suspends() {
		x.Await()
		e.Resume(x)
	}
}

// leave ends x's stay in its Generation, unless it is suspended.
func (e *Engine) leave(x *Exchange) {
	if x.wire.Overran() {
		x.place().overruns.Add(1)
	}
	if x.pending == nil {
		x.log()
		e.exit(x)
	}
}
