package proxy

import (
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// Waiting is the state machine of an Exchange that waits for events, such as a worker's
// frame, the end of a timer, or the client's leaving. An Exchange waits in one of two
// ways. A suspended Exchange has no goroutine: the goroutine that brings the event goes on
// with it at its cursor. An Exchange that awaits keeps its goroutine, which has given the
// lead of its loop away and goes on in straight code.
//
// An event says only that something has happened. The Exchange checks whether that is
// what it waits for; if not, it waits again. No event is lost: an event that comes before
// the wait ends the wait at once.
//
// The package comment has the transitions of these states:
//
//	running    a goroutine works on the exchange
//	told       running, with an event that it has not looked at yet
//	suspended  no goroutine works on the exchange
//	awaiting   the exchange's goroutine waits
//
// One word holds the state and the number of the request, which Reset increments. So an
// event for an earlier request of the Exchange changes nothing.
type Waiting struct {
	word atomic.Uint64 // number<<stateBits | state
	x    *Exchange     // its Exchange, which never changes
	bell chan struct{} // wakes the goroutine that awaits; nil until the first Await

	timer *time.Timer   // of startTimer; nil until its first call
	timed atomic.Uint64 // the number of the request that timer is for
	due   time.Time     // when Sleep ends

	used    bool // the request may get events: it has a Waker, a timer or a watch
	watched bool // the wire reports the client's leaving
}

// The states of an Exchange.
const (
	running uint64 = iota
	told
	suspended
	awaiting

	stateBits = 2
	stateMask = 1<<stateBits - 1
)

// Waker sends events to one request. Any goroutine may use it at any time, even after the
// request has ended. The zero Waker does nothing.
type Waker struct {
	waiting *Waiting
	number  uint64
}

// Waker returns the Waker of x's request.
func (x *Exchange) Waker() Waker {
	w := x.waiting
	w.used = true
	return w.Waker()
}

// Waker returns the Waker of the Exchange's present request.
func (w *Waiting) Waker() Waker { return Waker{w, w.word.Load() >> stateBits} }

// Wake sends an event. If the request is suspended, a new goroutine goes on with it. The
// caller may hold locks.
func (k Waker) Wake() { k.WakeIn(nil) }

// WakeIn sends an event from code that a loop calls, in turn t. If the request is
// suspended and t still leads, the request goes on before WakeIn returns, so the caller
// must hold no locks. With a nil t, WakeIn is Wake.
func (k Waker) WakeIn(t *eventloop.Turn) {
	if k.waiting == nil || !k.waiting.event(k.number, t) {
		return
	}
	if wire := k.waiting.x.wire; t != nil && !t.Left() {
		wire.Resume(t)
	} else {
		go wire.Resume(nil)
	}
}

// event makes the transition of an event. It reports whether the caller has to resume
// the exchange.
func (w *Waiting) event(number uint64, t *eventloop.Turn) (resume bool) {
	for {
		word := w.word.Load()
		if word>>stateBits != number {
			return false
		}
		next := number<<stateBits | running
		state := word & stateMask
		switch state {
		case told:
			return false
		case running:
			next |= told
		}
		if !w.word.CompareAndSwap(word, next) {
			continue
		}
		if state == awaiting {
			w.bell <- struct{}{}
			if t != nil {
				t.Readied()
			}
		}
		return state == suspended
	}
}

// leave makes the transition from running to the waiting state to. If an event has come,
// leave returns false, and the exchange goes on running.
func (w *Waiting) leave(to uint64) bool {
	number := w.word.Load() &^ stateMask
	if w.word.CompareAndSwap(number|running, number|to) {
		return true
	}
	w.word.Store(number | running) // the state was told, and then only the caller changes the word
	return false
}

// end makes later events of the request do nothing.
func (w *Waiting) end() {
	if !w.used {
		return
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.watched {
		w.x.wire.Watch(nil)
	}
	w.used, w.watched = false, false
	w.word.Store((w.word.Load()>>stateBits + 1) << stateBits)
}

// watch makes the wire send an event when the client leaves, if the wire can.
func (w *Waiting) watch() {
	w.used = true
	if !w.watched {
		w.watched = w.x.wire.Watch(w)
	}
}

// timeUp sends the timer's event.
func (w *Waiting) timeUp() {
	if w.event(w.timed.Load(), nil) {
		w.x.wire.Resume(nil)
	}
}

// startTimer makes an event come after d.
func (w *Waiting) startTimer(d time.Duration) {
	w.timed.Store(w.word.Load() >> stateBits)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.timeUp)
	} else {
		w.timer.Reset(d)
	}
}
