package appserver

import (
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// waiter is the Exchange's side of a request: a goroutine that waits on wake,
// or an Exchange that is suspended and needs none.
type waiter struct {
	wake    chan struct{}
	async   atomic.Bool // the Exchange suspends
	state   atomic.Int32
	x       *proxy.Exchange // of a request that is async
	handler *handler
	began   time.Time
	client  proxy.Client // nil where its loss is seen by writing only
}

// lost reports that no answer can reach r's client, or that it is taken for gone.
// Anyone who holds the pool's lock may ask.
func (r *request) lost() bool {
	return r.left.Load() || r.waiter.client != nil && r.waiter.client.Lost()
}

// The states of an Exchange that suspends.
const (
	exchangeRuns   int32 = iota
	exchangeParked       // whoever has news resumes it
	exchangeTold         // it runs, and there are news
)

func (w *waiter) reset() {
	select {
	case <-w.wake:
	default:
	}
	w.async.Store(false)
	w.state.Store(exchangeRuns)
	w.x, w.handler, w.began, w.client = nil, nil, time.Time{}, nil
}

// tell has the Exchange look at its request. One that is suspended goes on
// inline where t leads a loop, else on a goroutine: then the caller may hold
// the pool's lock.
func (r *request) tell(t *eventloop.Turn) {
	w := &r.waiter
	if !w.async.Load() {
		w.ring(t)
		return
	}
	for {
		switch s := w.state.Load(); s {
		case exchangeParked:
			if w.state.CompareAndSwap(s, exchangeRuns) {
				stream := w.x.Stream()
				if t != nil && !t.Left() {
					stream.Resume(t)
				} else {
					go stream.Resume(nil)
				}
				return
			}
		case exchangeRuns:
			if w.state.CompareAndSwap(s, exchangeTold) {
				if !w.async.Load() { // it has become a goroutine's meanwhile
					w.ring(t)
				}
				return
			}
		default:
			return
		}
	}
}

// ring wakes the goroutine.
func (w *waiter) ring(t *eventloop.Turn) {
	select {
	case w.wake <- struct{}{}:
		if t != nil {
			t.Readied()
		}
	default:
	}
}

// Park is proxy.Continuation's.
func (r *request) Park() bool {
	if r.waiter.state.CompareAndSwap(exchangeRuns, exchangeParked) {
		return true
	}
	r.waiter.state.Store(exchangeRuns)
	return false
}

// Continue is proxy.Continuation's: something has happened to the request.
func (r *request) Continue(x *proxy.Exchange) error {
	h := r.waiter.handler
	ready, err := h.look(x, r)
	if !ready {
		return x.Suspend(r)
	}
	return h.finish(x, r, err)
}

// hold makes the request a goroutine's, which may then wait for news.
func (r *request) hold(x *proxy.Exchange) {
	if r.waiter.async.Load() {
		r.waiter.async.Store(false)
		x.Stream().Detach()
	}
}
