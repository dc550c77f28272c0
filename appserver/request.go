package appserver

import (
	"os"
	"sync"

	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// request is one Exchange's request on its way to a worker and back. The Exchange owns it;
// the pool has the Job.
type request struct {
	pool.Job
	handler *handler
	pool    *pool.Pool // that has the Job; before that, the pool whose memory the body is read into

	about   wire.Environ
	environ *os.File // of an environ that no frame holds
	body    upstream.Body
	feed    *feed // nil: the body is read first
}

var requests = sync.Pool{New: func() any { return new(request) }}

// newRequest returns a request for the app of h.
func newRequest(h *handler) *request {
	r := requests.Get().(*request)
	r.handler, r.pool = h, h.app.service.version.Load().Pool
	r.Init(r)
	return r
}

// Reuse implements pool.Owner.
func (r *request) Reuse() {
	r.body.Close()
	r.feed.release()
	if r.environ != nil {
		r.environ.Close()
	}
	r.about.Reset()
	r.handler, r.pool, r.environ, r.feed = nil, nil, nil, nil
	requests.Put(r)
}

// Line implements pool.Owner.
func (r *request) Line() string { return r.handler.app.adapter.line(&r.about) }

// Starved implements pool.Owner.
func (r *request) Starved() bool { return r.feed != nil && r.feed.Starved() }

// Continue is proxy.Continuation's: something may have happened to the request.
func (r *request) Continue(x *proxy.Exchange) error {
	h := r.handler
	if r.Stage() == pool.StageNew {
		return h.send(x, r)
	}
	ready, err := h.look(x, r)
	if !ready {
		return h.await(x, r)
	}
	return h.finish(x, r, err)
}
