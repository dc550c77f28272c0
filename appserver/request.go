package appserver

import (
	"fmt"
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
	asgi    bool    // the request is for the app's ASGI program, even if that is the second one
	runner  *runner // its pool has the Job; before submit, its pool's memory may get the body

	about   wire.Environ
	environ *os.File // has an environ that is too large for a frame; nil: the frame has it
	body    upstream.Body
	feed    *feed   // nil: the body is read first
	socket  *socket // nil: the request is not for a WebSocket
}

var requests = sync.Pool{New: func() any { return new(request) }}

// newRequest returns a request for the app of h; with asgi, for its ASGI program.
func newRequest(h *handler, asgi bool) (*request, error) {
	runner := h.app.service.version.Load().runner(asgi)
	if runner == nil {
		return nil, h.app.withoutASGI()
	}
	r := requests.Get().(*request)
	r.handler, r.asgi, r.runner = h, asgi, runner
	r.Init(r)
	return r, nil
}

// withoutASGI returns the error for a request for an ASGI program that the app's current
// version does not have.
func (a *App) withoutASGI() error {
	return &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: fmt.Sprintf("app %q has no ASGI application any more", a.Name)}
}

// Reuse implements pool.Owner.
func (r *request) Reuse() {
	r.body.Close()
	r.feed.release()
	if r.environ != nil {
		r.environ.Close()
	}
	r.about.Reset()
	r.handler, r.runner, r.asgi, r.environ, r.feed, r.socket = nil, nil, false, nil, nil, nil
	requests.Put(r)
}

// dropFor drops r after the handler has ended with err. If err leads x to another handler, that
// gets the body; then r lives until it has read the body.
func (r *request) dropFor(x *proxy.Exchange, err error) {
	switch {
	case r.feed != nil:
		if x.LeadsOn(err) {
			r.feed.GiveBack(x)
		}
		r.feed.close()
	case r.body.Length > 0 && x.LeadsOn(err):
		x.KeepBody(r.body.Again(r.Drop))
		return
	}
	r.Drop()
}

// Line implements pool.Owner.
func (r *request) Line() string { return r.runner.program.adapter.line(&r.about) }

// Starved implements pool.Owner.
func (r *request) Starved() bool { return r.feed != nil && r.feed.Starved() }

// Continue implements proxy.Continuation: the request goes on after an event.
func (r *request) Continue(x *proxy.Exchange) error {
	h := r.handler
	if r.Stage() == pool.StageNew {
		return h.send(x, r)
	}
	ready, err := h.look(x, r)
	if !ready && err == nil {
		return h.await(x, r)
	}
	return h.finish(x, r, err)
}
