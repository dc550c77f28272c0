package appserver

import (
	"sync/atomic"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// handler is the content of a location with app_pass.
type handler struct {
	app        *App
	buffers    int64
	maxTemp    int64
	tempDir    string
	space      *upstream.Space
	unbuffered bool         // a worker gets the request's body while it comes
	follow     bool         // a 404 has files looked for in its place
	told       *atomic.Bool // that there is no location for an X-Accel-Redirect
}

// finish sends the answer, or returns why there is none, and lets r go.
func (h *handler) finish(x *proxy.Exchange, r *request, err error) error {
	try := x.Upstream.Last()
	if err == nil {
		err = h.answer(x, r, try)
	} else {
		try.Response = x.Now().Sub(r.waiter.began)
		if status := proxy.StatusOf(err); status != proxy.StatusClientClosed {
			try.Status = int(status)
		}
		if x.Upstream.Worker != "" {
			try.Peer, try.Connect = x.Upstream.Worker, r.waited
		}
	}
	x.Upstream.Time = try.Response
	if r.feed != nil {
		try.Sent += r.feed.read
		r.feed.close()
	}
	r.drop()
	return err
}

// answer sends the answer and completes try, its place in $upstream_*. The time of an
// answer that came whole is that of its head.
func (h *handler) answer(x *proxy.Exchange, r *request, try *proxy.Try) (err error) {
	took := x.Now().Sub(r.waiter.began)
	try.Peer, try.Status = r.by.name, r.head.Status
	try.Connect, try.Header, try.Response = r.waited, took, took
	switch {
	case h.isMissing(r):
		err = h.lookForFile(x, r)
	case r.head.Accel.Redirect != "":
		h.dropAnswer(r)
		err = r.head.Redirect(x, x.Upstream.Worker, h.told)
	default:
		err = h.respond(x, r)
	}
	switch {
	case r.head.file >= 0:
		try.Length = r.head.file
	case r.whole:
		try.Length = int64(len(r.text))
	default:
		try.Response, try.Length = x.Now().Sub(r.waiter.began), r.out.Received()
	}
	try.Received = r.head.size + try.Length
	return err
}

// look finds out what has happened to r. ready is false while there is nothing
// to do but wait.
func (h *handler) look(x *proxy.Exchange, r *request) (ready bool, err error) {
	switch r.stage.Load() {
	case stageHead:
		x.Upstream.Worker, x.Upstream.Queue = r.by.name, r.waited
		x.Upstream.Key, x.Upstream.Number = &r.by.key, r.id
		return true, nil
	case stageFailed:
		f := r.failure.Load()
		if x.Upstream.Worker = r.pool.abandon(r); f == nil {
			return true, proxy.Status(502)
		}
		return true, f
	case stageGone:
		return true, proxy.StatusClientClosed
	default: // the client may have left
		if r.pool.withdraw(r) {
			return true, proxy.StatusClientClosed
		}
		if r.lost() {
			x.Upstream.Worker = r.pool.abandon(r)
			return true, proxy.StatusClientClosed
		}
	}
	return false, nil
}

// respond sends the response as it comes.
func (h *handler) respond(x *proxy.Exchange, r *request) error {
	switch {
	case r.file != nil:
		return r.respondFile(x)
	case r.whole:
		return r.head.Reply(x, r.text, r.by.name)
	}
	err := r.stream(x)
	if err != nil {
		r.pool.abandon(r)
	}
	return err
}

func (r *request) respondFile(x *proxy.Exchange) error {
	defer r.closeFile()
	if err := r.openFile(r.head.file); err != nil {
		return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: r.by.name + " gave a file that cannot be sent: " + err.Error()}
	}
	return r.head.ReplyFile(x, r.file, r.offset, r.head.file, r.by.name)
}

// stream gives the client blocks until the response ends.
func (r *request) stream(x *proxy.Exchange) error {
	r.head.Apply(x, -1)
	if err := x.Res.Send(); err != nil {
		return err
	}
	for {
		ended, err := r.out.Give(x, &r.head.Head, r)
		if err == nil && !ended {
			err = r.pump(x)
		}
		switch {
		case err != nil:
			return err
		case ended:
			return x.Res.Finish()
		case r.lost():
			return proxy.ErrClientGone
		}
		x.Await()
	}
}

// Name returns the worker's name; see upstream.Source.
func (r *request) Name() string { return r.by.name }

// Repay gives the thread that answers credit for n bytes.
func (r *request) Repay(n int64) { r.by.slots[r.slot].repay(n) }

// Free implements upstream.Source.
func (r *request) Free(buffer *[]byte) { frames.Put(buffer) }

// dropAnswer lets go of r's answer, which nobody gets.
func (h *handler) dropAnswer(r *request) {
	if r.file != nil {
		r.closeFile()
	}
	if !r.whole {
		r.pool.abandon(r)
	}
}
