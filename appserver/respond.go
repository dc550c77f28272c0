package appserver

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// handler is the content of a location with app_pass.
type handler struct {
	app     *App
	buffers int64
	maxTemp int64
	tempDir string
	space   *upstream.Space
	follow  bool         // a 404 has files looked for in its place
	told    *atomic.Bool // that there is no location for an X-Accel-Redirect
}

// finish sends the answer, or returns why there is none, and lets r go.
func (h *handler) finish(x *proxy.Exchange, r *request, err error) error {
	try := x.Upstream.Last()
	if err == nil {
		err = h.answer(x, r, try)
	} else {
		try.Status, try.Response = statusOf(err), time.Since(r.waiter.began)
		if x.Upstream.Worker != "" {
			try.Peer, try.Connect = x.Upstream.Worker, r.waited
		}
	}
	x.Upstream.Time = try.Response
	r.drop()
	return err
}

// statusOf returns the status that err is answered with, 0 where nobody sees one.
func statusOf(err error) int {
	var f *proxy.Fail
	status := proxy.Status(502)
	if errors.As(err, &f) {
		status = f.Status
	}
	if errors.As(err, &status); status == proxy.StatusClientClosed {
		return 0
	}
	return int(status)
}

// answer sends the answer and completes its line in $upstream_*. One that was there
// whole has taken no longer than its head.
func (h *handler) answer(x *proxy.Exchange, r *request, try *proxy.Try) (err error) {
	took := time.Since(r.waiter.began)
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
		try.Response, try.Length = time.Since(r.waiter.began), r.out.Received()
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
	if r.whole {
		return r.respondWhole(x)
	}
	r.head.Apply(x, -1)
	if err := x.Res.Send(); err != nil {
		r.pool.abandon(r)
		return err
	}
	if err := h.stream(x, r); err != nil {
		r.pool.abandon(r)
		return err
	}
	if n := x.Res.Length; n >= 0 && r.sentBody < n && !x.Res.Bodyless() {
		return fmt.Errorf("%s ended its response after %d of %d bytes", x.Upstream.Worker, r.sentBody, n)
	}
	return x.Res.Finish()
}

func (r *request) respondWhole(x *proxy.Exchange) error {
	if r.file != nil {
		defer r.closeFile()
		if err := r.openFile(r.head.file); err != nil {
			return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: x.Upstream.Worker + " gave a file that cannot be sent: " + err.Error()}
		}
		r.head.Apply(x, r.head.file)
		if x.Res.Length > r.head.file {
			return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: x.Upstream.Worker + " announced more bytes than its file has"}
		}
		n := r.head.file
		if x.Res.Length >= 0 {
			n = min(n, x.Res.Length)
		}
		if err := x.Res.Send(); err != nil {
			return err
		}
		if err := x.Res.SendFile(r.file, r.offset, n); err != nil {
			return err
		}
		return x.Res.Finish()
	}
	body := r.text
	r.head.Apply(x, int64(len(body)))
	bodyless := x.Req.Method == "HEAD" || x.Res.Status == 204 || x.Res.Status == 304
	if n := x.Res.Length; n >= 0 && n != int64(len(body)) && !bodyless {
		if n > int64(len(body)) {
			return &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave %d bytes with a Content-Length of %d", x.Upstream.Worker, len(body), n)}
		}
		body = body[:n]
	}
	if err := x.Res.Send(); err != nil {
		return err
	}
	if _, err := x.Res.Write(body); err != nil {
		return err
	}
	return x.Res.Finish()
}

// stream copies blocks to the client until the response ends.
func (h *handler) stream(x *proxy.Exchange, r *request) error {
	slot := &r.by.slots[r.slot]
	for {
		b, ok, ended, back := r.out.Next()
		slot.repay(back)
		if !ok {
			if r.broken.Load() {
				return r.failure.Load()
			}
			if ended {
				return nil
			}
			if err := x.Res.Flush(); err != nil {
				return err
			}
			if r.lost() {
				return proxy.ErrClientGone
			}
			x.Await()
			continue
		}
		if n := x.Res.Length; n >= 0 && r.sentBody+b.Size > n {
			b.Size = n - r.sentBody
			if b.Data != nil {
				b.Data = b.Data[:b.Size]
			}
		}
		r.sentBody += b.Size
		var err error
		if b.File != nil {
			err = x.Res.SendFile(b.File, b.Offset, b.Size)
		} else {
			_, err = x.Res.Write(b.Data)
		}
		if b.Buffer != nil {
			frames.Put(b.Buffer)
		}
		if err != nil && r.broken.Load() {
			return r.failure.Load() // the client waited for what could not be kept for it
		}
		if err != nil {
			return err
		}
	}
}

// dropAnswer lets go of r's answer, which nobody gets.
func (h *handler) dropAnswer(r *request) {
	if r.file != nil {
		r.closeFile()
	}
	if !r.whole {
		r.pool.abandon(r)
	}
}
