package proxy

import (
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// Waiting is the state machine of an Exchange that waits for events: a worker's
// frame, a timer, the client's leaving. An Exchange waits in one of two ways.
// One that is suspended has no goroutine; whoever brings the event goes on with it
// at its cursor. One that awaits keeps its goroutine, which has given the lead of
// its loop away, and goes on in straight code.
//
// An event says that there is something to look at, not what. Who waits looks
// whether that is what it waits for, and waits again where it is not. No event is
// lost: one that comes before the wait ends it at once.
//
//	state      meaning                                 event                Park        Await
//	running    a goroutine works on the exchange       told                 suspended   awaiting
//	told       it does, and has an event to look at    told                 running, and it goes on at once
//	suspended  nobody works on it                      running, resumed     -           -
//	awaiting   its goroutine waits                     running, woken       -           -
//
// The state and the number of the request, which Reset moves, are one word. An event
// of a request that has ended changes nothing, whoever has the Exchange since.
type Waiting struct {
	word atomic.Uint64 // number<<stateBits | state
	x    *Exchange     // whose state it is, for good
	bell chan struct{} // wakes the goroutine that awaits; made by the first Await

	timer *time.Timer   // Sleep's; made by the first
	timed atomic.Uint64 // the number of the request that timer is for
	due   time.Time     // when Sleep ends

	used    bool // the request has a Waker
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

// Waker has one request looked at. Anyone may use it at any time, also when the
// request has ended. The zero Waker has no request.
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

// Waker returns the Waker of the request that the Exchange is used for now.
func (w *Waiting) Waker() Waker { return Waker{w, w.word.Load() >> stateBits} }

// Wake has the request looked at, on a goroutine of its own. The caller may hold
// locks.
func (k Waker) Wake() { k.WakeIn(nil) }

// WakeIn has the request looked at, at once where t still leads its loop: the
// caller then holds no locks. It is for what a loop calls.
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

// event is the transition that an event makes. It reports whether the caller is to
// resume the exchange.
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

// leave is the transition from running to a state of waiting. It is false, and
// the exchange goes on running, where an event has come.
func (w *Waiting) leave(to uint64) bool {
	number := w.word.Load() &^ stateMask
	if w.word.CompareAndSwap(number|running, number|to) {
		return true
	}
	w.word.Store(number | running) // it was told: nothing else moves the word
	return false
}

// end makes the events of the request fall flat.
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

// watch has the wire report the client's leaving from now on, where it can.
func (w *Waiting) watch() {
	w.used = true
	if !w.watched {
		w.watched = w.x.wire.Watch(w)
	}
}

// timeUp is the timer's event.
func (w *Waiting) timeUp() {
	if w.event(w.timed.Load(), nil) {
		w.x.wire.Resume(nil)
	}
}

// startTimer has an event come after d.
func (w *Waiting) startTimer(d time.Duration) {
	w.timed.Store(w.word.Load() >> stateBits)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.timeUp)
	} else {
		w.timer.Reset(d)
	}
}
