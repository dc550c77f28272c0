package appserver

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
	"alicorn/proxy/websocket"
)

// inlineBody is the largest body that is sent in the request's frame, in bytes.
const inlineBody = 48 << 10

// inlineShared is the same for pools that have shared memory for larger bodies: then the frame
// fits into a lane's entry, with the environ.
const inlineShared = wire.LaneEntry / 2

// Serve passes x's request to a worker, and its answer to the client.
func (h *handler) Serve(x *proxy.Exchange) error {
	x.Upstream.App = h.app.Name
	if h.sockets != nil && websocket.Asks(x) {
		return h.serveSocket(x)
	}
	r, err := newRequest(h, h.asgi)
	if err != nil {
		return err
	}
	return h.begin(x, r)
}

// begin submits the request: after its body has come, or before.
func (h *handler) begin(x *proxy.Exchange, r *request) error {
	if (x.Req.ContentLength > 0 || x.Req.Chunked) && x.Loop() != nil && h.streams(x, r) {
		return h.sendAhead(x, r)
	}
	return h.send(x, r)
}

// streams reports whether the worker gets the body of x's request while it comes.
func (h *handler) streams(x *proxy.Exchange, r *request) bool {
	if h.buffering == bufferingUsual && r.runner.program.adapter.streams {
		return x.Req.Chunked || x.Req.ContentLength > x.Core().BodyBufferSize
	}
	return h.buffering == bufferingOff
}

// sendAhead submits the request, and then passes on its body while it comes.
func (h *handler) sendAhead(x *proxy.Exchange, r *request) (err error) {
	if r.feed, err = newFeed(x); err == nil {
		err = h.submit(x, r)
	}
	if err != nil {
		r.Drop() // nothing of the body was read
		return err
	}
	return h.await(x, r)
}

// await passes on what has come of r's body, and suspends x until the next event.
func (h *handler) await(x *proxy.Exchange, r *request) error {
	if err := r.pump(x); err != nil {
		x.Upstream.Worker = r.runner.Abandon(&r.Job)
		r.runner.Withdraw(&r.Job)
		return h.finish(x, r, err)
	}
	return x.Suspend(r)
}

// pump passes on the bytes that have come of a body with a feed. Without one it does nothing.
func (r *request) pump(x *proxy.Exchange) error {
	if r.feed == nil || r.feed.socket == nil {
		return nil
	}
	err := r.feed.Pump(x)
	if errors.Is(err, proxy.ErrClientGone) {
		return proxy.StatusClientClosed
	}
	return err
}

// send reads the body, as far as it has come, and then submits the request. x is
// suspended meanwhile and afterwards.
func (h *handler) send(x *proxy.Exchange, r *request) error {
	core := x.Core()
	s := upstream.Storage{ShareFrom: inlineShared, Inline: inlineBody, Memory: core.BodyBufferSize, Dir: core.BodyTempPath, Space: h.space}
	if a := r.runner.Arena(); a != nil {
		s.Shared = a
	}
	switch err := r.body.Read(x, &s); err {
	case nil:
	case proxy.ErrNotYet:
		return x.Suspend(r)
	default:
		r.Drop()
		return err
	}
	if err := h.submit(x, r); err != nil {
		r.dropFor(x, err)
		return err
	}
	return x.Suspend(r)
}

// submit gives the request to the pool that the app has now.
func (h *handler) submit(x *proxy.Exchange, r *request) error {
	r.Out.Memory, r.Out.Dir, r.Out.Space = h.buffers, h.tempDir, h.space
	if r.Out.Disk = h.maxTemp; h.maxTemp == usualTemp {
		r.Out.Disk = r.runner.program.adapter.maxTemp
	}
	r.Waker, r.Client, r.Began = x.Waker(), x.Client(), x.Now()
	x.Upstream.Begin()
	try := x.Upstream.Try(h.app.Name)
	for {
		now := h.app.service.version.Load().runner(r.asgi)
		if now == nil {
			return h.app.withoutASGI()
		}
		if now != r.runner {
			if err := r.body.Unshare(); err != nil {
				return err
			}
		}
		r.runner = now
		if err := r.encode(x, h.app); err != nil {
			return err
		}
		try.Sent = int64(len(r.Frame)-len(r.body.Inline)) + r.body.Length
		switch fail := now.Submit(&r.Job); fail {
		case nil:
			return nil
		case pool.ErrSucceeded:
		default:
			try.Status, try.Response = int(fail.Status), x.Now().Sub(r.Began)
			return fail
		}
	}
}

// encode makes the frame of x's request, whose body has been read or has a feed. It is called
// again after the body has moved.
func (r *request) encode(x *proxy.Exchange, app *App) error {
	if r.environ != nil {
		r.environ.Close()
		r.environ = nil
	}
	r.Rights = nil
	b := wire.AppendHeader(r.Frame[:0], wire.KindRequest, 0, 0)
	b = append(b, 0, 0, 0, 0)
	r.runner.program.adapter.encode(&r.about, gateway.Request{Exchange: x, Way: app.forwarding.way(x), Length: r.contentLength(x), WebSocket: r.socket != nil, RootPath: app.asgi.rootPath})
	b, err := r.about.AppendTo(b)
	if err != nil {
		return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: "cannot pass the request to an application: " + err.Error()}
	}
	size := len(b) - wire.SizedSize
	var flags byte
	var fds [2]int
	rights := fds[:0]
	if len(b)+len(r.body.Inline)+8 > wire.MaxFrame {
		f, err := upstream.Memory(b[wire.SizedSize:])
		if err != nil {
			return err
		}
		r.environ, b, size = f, b[:wire.SizedSize], 0
		flags |= wire.FlagEnvironFD
		rights = append(rights, int(f.Fd()))
	}
	binary.LittleEndian.PutUint32(b[wire.HeaderSize:], uint32(size))
	if r.body.Shared != nil {
		flags |= wire.FlagBodyShared
		b = binary.LittleEndian.AppendUint32(b, uint32(r.body.Offset))
		b = binary.LittleEndian.AppendUint32(b, uint32(r.body.Length))
	}
	if r.body.File != nil {
		flags |= wire.FlagBodyFD
		rights = append(rights, int(r.body.File.Fd()))
	}
	if r.feed != nil {
		flags |= wire.FlagBodyStream
		rights = append(rights, int(r.feed.theirs.Fd()))
	}
	b[1] = flags
	if len(rights) > 0 {
		r.Rights = unix.UnixRights(rights...)
	}
	r.Frame = append(b, r.body.Inline...)
	return nil
}

// contentLength returns the length of the body for the application; -1: the request has no
// body, or the length is not known yet.
func (r *request) contentLength(x *proxy.Exchange) int64 {
	switch _, given := x.Req.Header.Lookup(proxy.FieldContentLength); {
	case r.feed != nil && x.Req.Chunked:
		return -1 // known only at the end
	case x.Req.Chunked:
		return r.body.Length
	case x.Req.ContentLength == 0 && !given:
		return -1 // to applications an empty body differs from none
	}
	return x.Req.ContentLength
}
