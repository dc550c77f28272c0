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
	asgi    bool    // it is for the app's ASGI program, even where another is the first
	runner  *runner // whose pool has the Job; before that, the one whose memory the body is read into

	about   wire.Environ
	environ *os.File // of an environ that no frame holds
	body    upstream.Body
	feed    *feed   // nil: the body is read first
	socket  *socket // nil: it asks for no WebSocket
}

var requests = sync.Pool{New: func() any { return new(request) }}

// newRequest returns a request for the app of h. asgi: for its ASGI program.
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

// withoutASGI is the answer to a request for the ASGI program of an app whose newest version
// has none.
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

// dropFor drops r, whose part in x ends with err. A handler that err leads to gets the body,
// which may be r's until then.
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

// Continue is proxy.Continuation's: something may have happened to the request.
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
