package appserver

import (
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// waiter is the Exchange's side of a request: it is suspended, or a goroutine of it
// awaits the blocks of a response.
type waiter struct {
	waker   proxy.Waker
	handler *handler
	began   time.Time
	client  proxy.Client // nil where its loss is seen by writing only
}

// lost reports that no answer can reach r's client, or that it is taken for gone.
// Anyone who holds the pool's lock may ask.
func (r *request) lost() bool {
	return r.left.Load() || r.waiter.client != nil && r.waiter.client.Lost()
}

// tell has the Exchange look at its request. One that is suspended goes on
// inline where t leads a loop, else on a goroutine: then the caller may hold
// the pool's lock.
func (r *request) tell(t *eventloop.Turn) { r.waiter.waker.WakeIn(t) }

// Continue is proxy.Continuation's: something may have happened to the request.
func (r *request) Continue(x *proxy.Exchange) error {
	h := r.waiter.handler
	if r.stage.Load() == stageReading {
		return h.send(x, r)
	}
	ready, err := h.look(x, r)
	if !ready {
		return h.await(x, r)
	}
	return h.finish(x, r, err)
}
