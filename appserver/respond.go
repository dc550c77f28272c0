package appserver

import (
	"errors"
	"fmt"
	"sync/atomic"

	"alicorn/appserver/pool"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
	"alicorn/proxy/websocket"
)

// handler is the content of a location with app_pass.
type handler struct {
	app       *App
	buffers   int64
	maxTemp   int64
	tempDir   string
	space     *upstream.Space
	sockets   *websocket.Feature // nil: the app takes no WebSockets
	asgi      bool               // requests are for the app's ASGI program, even if that is the second one
	buffering buffering
	follow    bool         // after a 404 look for a file: see app_static
	told      *atomic.Bool // it was logged that no location serves an X-Accel-Redirect
}

// finish sends the answer, or returns why there is none, and drops r.
func (h *handler) finish(x *proxy.Exchange, r *request, err error) error {
	if err == nil && r.socket != nil && r.Accepted() {
		return h.open(x, r)
	}
	try := x.Upstream.Last()
	if err == nil {
		err = h.answer(x, r, try)
	} else {
		try.Response = x.Now().Sub(r.Began)
		if status := proxy.StatusOf(err); status != proxy.StatusClientClosed {
			try.Status = int(status)
		}
		if x.Upstream.Worker != "" {
			try.Peer, try.Connect = x.Upstream.Worker, r.Waited()
		}
	}
	x.Upstream.Time = try.Response
	if r.feed != nil {
		try.Sent += r.feed.Taken()
	}
	r.dropFor(x, err)
	return err
}

// answer sends the answer, and completes try, which has its values of $upstream_*. An answer
// that has come in one piece has one time for the head and for all of it.
func (h *handler) answer(x *proxy.Exchange, r *request, try *proxy.Try) (err error) {
	took := x.Now().Sub(r.Began)
	try.Peer, try.Status = r.Worker(), r.Head.Status
	try.Connect, try.Header, try.Response = r.Waited(), took, took
	switch {
	case h.isMissing(r):
		err = h.lookForFile(x, r)
	case r.Head.Accel.Redirects:
		h.dropAnswer(r)
		err = r.Head.Redirect(x, x.Upstream.Worker, h.told)
	case r.Head.NamesFile(x):
		h.dropAnswer(r)
		err = r.Head.RedirectToFile(x, x.Upstream.Worker)
	default:
		err = h.respond(x, r)
	}
	switch {
	case r.Head.File >= 0:
		try.Length = r.Head.File
	case r.Whole:
		try.Length = int64(len(r.Text))
	default:
		try.Response, try.Length = x.Now().Sub(r.Began), r.Out.Received()
	}
	try.Received = r.Head.Size + try.Length
	return err
}

// look finds out what has happened to r. ready is false while there is nothing
// to do but wait.
func (h *handler) look(x *proxy.Exchange, r *request) (ready bool, err error) {
	switch r.Stage() {
	case pool.StageHead:
		if r.runner.program.Streams > 0 {
			r.hint(x) // if it fails, so does the head
		}
		x.Upstream.Worker, x.Upstream.Queue = r.Worker(), r.Waited()
		x.Upstream.Last().Queue = x.Upstream.Queue
		x.Upstream.Key, x.Upstream.Number = r.RequestID()
		return true, nil
	case pool.StageFailed:
		f := r.Failure()
		if x.Upstream.Worker = r.runner.Abandon(&r.Job); f == nil {
			return true, proxy.Status(502)
		}
		return true, f
	case pool.StageGone:
		return true, proxy.StatusClientClosed
	default: // the client may have left
		if r.runner.Withdraw(&r.Job) {
			return true, proxy.StatusClientClosed
		}
		if r.Lost() {
			x.Upstream.Worker = r.runner.Abandon(&r.Job)
			return true, proxy.StatusClientClosed
		}
		if r.runner.program.Streams > 0 {
			return false, r.hint(x)
		}
	}
	return false, nil
}

// hint passes on the early hints that have come.
func (r *request) hint(x *proxy.Exchange) error {
	for _, h := range r.runner.TakeHints(&r.Job) {
		var fields proxy.Header
		h.AddTo(&fields)
		if err := x.Res.Hint(&fields); err != nil {
			return err
		}
	}
	return nil
}

// respond sends the response as it comes.
func (h *handler) respond(x *proxy.Exchange, r *request) error {
	switch {
	case r.File != nil:
		return r.respondFile(x)
	case r.Whole:
		return r.Head.Reply(x, r.Text, r.Worker())
	}
	err := r.stream(x)
	if err != nil {
		r.runner.Abandon(&r.Job)
	}
	return err
}

func (r *request) respondFile(x *proxy.Exchange) error {
	if err := r.bodyInFile(); err != nil {
		r.DiscardFile()
		return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: r.Worker() + " gave a file that cannot be sent: " + err.Error()}
	}
	defer func() {
		r.File.Close()
		r.File = nil
	}()
	return r.Head.ReplyFile(x, r.File, r.Offset, r.Head.File, r.Worker())
}

// bodyInFile returns an error unless the worker's file is a regular one that has all of the body.
// It may wait for the file system.
func (r *request) bodyInFile() error {
	st, err := r.File.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if size := r.Head.File; r.Offset > st.Size()-size {
		return fmt.Errorf("shorter than the %d bytes announced", size)
	}
	return nil
}

// stream sends the client blocks until the response ends.
func (r *request) stream(x *proxy.Exchange) error {
	if r.feed != nil { // the request's body goes on even while the client takes nothing
		x.Meanwhile(func() { r.pump(x) })
		defer x.Meanwhile(nil)
	}
	r.Head.Apply(x, -1)
	if err := x.Res.Send(); err != nil {
		return err
	}
	for {
		ended, err := r.Out.Give(x, &r.Head.Head, &r.Job)
		if err == nil && !ended {
			err = r.pump(x)
		}
		switch {
		case err != nil:
			return err
		case ended:
			if r.Trailers != nil {
				r.Trailers.AddTo(&x.Res.Trailer)
			}
			return x.Res.Finish()
		case r.Lost():
			return proxy.ErrClientGone
		}
		x.Await()
	}
}

// dropAnswer drops r's answer, which is not used.
func (h *handler) dropAnswer(r *request) {
	r.DiscardFile()
	if !r.Whole {
		r.runner.Abandon(&r.Job)
	}
}
