package proxy

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"alicorn/proxy/eventloop"
)

// OwnRequest is a GET of the server's own, which no client waits for: a check of the
// servers behind it.
type OwnRequest struct {
	Path, Args string // decoded, and behind "?"
	Target     string // the same as in a request line
	Host       string
	// Take takes the bytes of the response's body. An error ends the request.
	Take func(p []byte) error
}

// Own has h answer a request of the server's own with the settings of l, and waits for it;
// no phase and no filter runs, and nothing is logged. Continuations run on the caller's
// goroutine. When ctx ends, the client has left. The caller releases x.
func Own(ctx context.Context, l *Location, r *OwnRequest, h Handler) (x *Exchange, err error) {
	w := &ownWire{ctx: ctx, take: r.Take}
	x = NewExchange(&Conn{RemoteAddr: "unix:", LocalAddr: "unix:", Requests: 1}, w)
	core := *l.Core
	core.LimitRate, core.LimitRateAfter = nil, nil
	x.Server, x.Location = l.Server, &Location{Name: l.Name, Kind: l.Kind, Pos: l.Pos, Core: &core, Server: l.Server, state: l.state}
	x.Start, x.Number = time.Now(), 1
	q := &x.Req
	q.Method, q.Target, q.Proto, q.Major, q.Minor, q.Scheme = "GET", r.Target, "HTTP/1.1", 1, 1, "http"
	q.Line = q.Method + " " + q.Target + " " + q.Proto
	q.Host, q.Authority = r.Host, r.Host
	q.SetPath(r.Path)
	q.Asked, q.Args, q.HasArgs = r.Path, r.Args, r.Args != ""
	waker := x.Waker()
	defer context.AfterFunc(ctx, waker.Wake)()
	return x, x.runOwn(h)
}

// runOwn waits until h has answered.
func (x *Exchange) runOwn(h Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			x.pending = nil
			err = fmt.Errorf("internal error: %v\n%s", v, debug.Stack())
		}
	}()
	for err = h.Serve(x); x.pending != nil; {
		x.Await()
		k := x.pending
		x.pending = nil
		err = k.Continue(x)
	}
	return err
}

// ownWire is the wire of a request of the server's own.
type ownWire struct {
	ctx  context.Context
	take func(p []byte) error
}

// Write implements ResponseWire.
func (w *ownWire) Write(p []byte) (int, error) { return len(p), w.take(p) }

// SendFile implements ResponseWire.
func (w *ownWire) SendFile(f File, off, n int64) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for n > 0 {
		p := (*buf)[:min(int64(len(*buf)), n)]
		if err := ReadFile(f, p, off); err != nil {
			return err
		}
		if err := w.take(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// Gone implements Scheduler.
func (w *ownWire) Gone() bool { return w.ctx.Err() != nil }

// Suspends implements Scheduler. The caller of Own waits.
func (w *ownWire) Suspends() bool { return false }

// Loop implements Scheduler.
func (w *ownWire) Loop() *eventloop.Loop { return nil }

// Resume implements Scheduler. It is not called: the exchange awaits.
func (w *ownWire) Resume(*eventloop.Turn) {}

// Detach implements Scheduler.
func (w *ownWire) Detach() {}

// Overran implements Scheduler.
func (w *ownWire) Overran() bool { return false }

// Now implements Scheduler.
func (w *ownWire) Now() time.Time { return time.Now() }

// Watch implements Scheduler. The context's end is an event in any case.
func (w *ownWire) Watch(*Waiting) bool { return false }

// Client implements Scheduler.
func (w *ownWire) Client() Client { return nil }

// WriteHints implements ResponseWire.
func (w *ownWire) WriteHints(*Header) error { return nil }

// WriteHead implements ResponseWire. The head stays in the Response.
func (w *ownWire) WriteHead(*Exchange, bool) error { return nil }

// Flush implements ResponseWire.
func (w *ownWire) Flush() error { return nil }

// Finish implements ResponseWire.
func (w *ownWire) Finish(*Header) error { return nil }

// Abort implements ResponseWire.
func (w *ownWire) Abort() {}

// Upgrade implements ResponseWire.
func (w *ownWire) Upgrade(*Exchange) (Upgraded, error) { return nil, ErrNoUpgrade }

// DropConnection implements ResponseWire.
func (w *ownWire) DropConnection() {}

// Meanwhile implements ResponseWire. No call waits.
func (w *ownWire) Meanwhile(func()) {}

// BytesSent implements ResponseWire.
func (w *ownWire) BytesSent() int64 { return 0 }

// ReadBody implements RequestWire.
func (w *ownWire) ReadBody([]byte) (int, error) { return 0, io.EOF }

// TryReadBody implements RequestWire.
func (w *ownWire) TryReadBody([]byte) (int, error) { return 0, io.EOF }

// AwaitBody implements RequestWire. There is no body to wait for.
func (w *ownWire) AwaitBody() bool { return false }

// BytesRead implements RequestWire.
func (w *ownWire) BytesRead() int64 { return 0 }
