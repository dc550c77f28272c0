package http1

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

// conn is one connection and the wire of the exchange on it.
type conn struct {
	e    *proxy.Engine
	wire wire
	info *proxy.Conn
	core *proxy.Core     // of the default server, then of the exchange's location
	x    *proxy.Exchange // nil while the connection idles

	state      atomic.Int32
	watcher    atomic.Pointer[proxy.Waiting] // is told when the client leaves
	awaitsBody atomic.Bool                   // AwaitBody has left the reading to the loop, which has not called Ready
	onCut      atomic.Pointer[func()]        // what an upgraded connection does when it is cut
	parked     bool                          // the exchange is parked; who drives c next resumes it
	headEnds   time.Time                     // when the head being read is given up

	// The read side: buf[r:w] is read and not yet consumed.
	buf      []byte
	pooled   *[]byte // where buf came from; nil when it has grown
	bodyBuf  *[]byte // framing of a body, once the head's buffer is used up
	headBuf  []byte  // the head's buffer while buf is bodyBuf's
	headPool *[]byte
	r, w     int
	one      [1]byte // a byte that is looked at

	body      body
	bodyDue   time.Time // when the wait for more of it ends; zero: nobody waits
	bytesRead int64
	bytesSent int64
	out       []byte
	outPool   *[]byte
	file      *fileSend // made by the first file that the kernel sends
	turn      int       // bytes of a file sent since others had theirs

	chunked, simple       bool
	bodyless, headWritten bool
	left                  int64 // of a response with a length; -1: unknown
	interim               bool  // HTTP/1.1 or later: the client understands 1xx responses
	keepAlive             bool  // what the client wants
	draining              bool  // what is read of the body is dropped
	tries                 bool  // reads of the body do not wait
	mustClose, aborted    bool
	timedOut              bool // the client did not send what was waited for
	upgraded              bool // HTTP has ended here
	duplex                bool // and the loop calls what came after it
	closing               bool // the response said Connection: close
	last                  bool // nothing will be sent after what is queued
	resets                bool // the close will be a reset
	err                   error
}

// The states of a connection, as Drain and Close see it.
const (
	stateIdle int32 = iota
	stateActive
	stateClosed
)

const bufferSize = 4 << 10

func newBuffer() any { b := make([]byte, bufferSize); return &b }

var (
	readBuffers  = sync.Pool{New: newBuffer}
	bodyBuffers  = sync.Pool{New: newBuffer}
	writeBuffers = sync.Pool{New: newBuffer}
)

// Serve speaks HTTP/1.1 on nc until it closes; it is a proxy.ServeConn.
func Serve(e *proxy.Engine, nc net.Conn, info *proxy.Conn) {
	c := &conn{e: e, wire: wireOf(nc), info: info, mustClose: info.Refusal != nil}
	if !e.Register(info, c) {
		nc.Close()
		return
	}
	if c.core = e.Defaults(info); c.core == nil {
		c.end(nil)
		return
	}
	c.wire.start(c)
}

// serve serves requests until the connection is to be closed, or waits for
// its loop, which it reports.
func (c *conn) serve() (waits bool) {
	for {
		if !c.parked {
			pipelined := c.r < c.w
			if !pipelined {
				if waits, more := c.awaitRequest(); !more {
					return waits
				}
			}
			if !c.beginRequest() {
				return false
			}
			c.x.Pipelined = pipelined
			c.serveOne(c.x)
		}
		for c.x.Suspended() {
			if !c.parked {
				c.parked = true
				if c.x.Park() {
					return true
				}
			}
			c.parked = false
			c.e.Resume(c.x)
		}
		c.forgetBody()
		c.endOne(c.x)
		if c.shouldClose() || !c.nextRequest() {
			c.closeConn()
			return false
		}
	}
}

// beginRequest readies c for a request whose first bytes are there; false when
// the connection is to be closed.
func (c *conn) beginRequest() bool {
	if !c.wire.begin(&c.state, c.e.Draining()) {
		return false
	}
	// The settings of a server are known only when the head was read; a
	// reload may have changed the default's.
	if c.core = c.e.Defaults(c.info); c.core == nil {
		return false
	}
	if c.x == nil {
		c.x = proxy.NewExchange(c.info, c)
	}
	return true
}

// nextRequest makes c ready for another request; false when it is to close.
func (c *conn) nextRequest() bool {
	c.reset()
	c.x.Reset()
	return c.state.CompareAndSwap(stateActive, stateIdle)
}

// end closes the connection. A mistake of ours that brought the end, as recover
// gave it, is logged and costs no more than the connection. (The Engine rescues
// handlers itself.)
func (c *conn) end(mistake any) {
	if mistake != nil && c.core != nil && c.core.ErrorLog != nil {
		c.core.ErrorLog.Log(context.Background(), proxy.LevelAlert, fmt.Sprintf("internal error: %v\n%s", mistake, debug.Stack()), "client", c.info.RemoteAddr)
	}
	if mistake != nil {
		c.x = nil // its state is not known: nobody uses it again
	}
	c.finish()
	c.e.Unregister(c.info)
}

// awaitRequest waits for the first byte of a request. While it waits the
// connection holds neither buffer nor Exchange. Where a loop does the waiting,
// waits is true and the loop goes on.
func (c *conn) awaitRequest() (waits, more bool) {
	c.releaseRead()
	timeout := c.core.KeepaliveTimeout
	if c.info.Requests == 0 {
		timeout = c.core.HeaderTimeout
	}
	if timeout = c.e.Patience(timeout); timeout < 0 {
		return false, false
	}
	return c.wire.await(c, timeout)
}

func (c *conn) releaseExchange() {
	if c.x != nil {
		c.x.Release()
		c.x = nil
	}
}

func (c *conn) takeRead() {
	if c.buf == nil {
		c.pooled = readBuffers.Get().(*[]byte)
		c.buf = *c.pooled
	}
	c.r, c.w = 0, 0
}

func (c *conn) releaseRead() {
	if c.pooled != nil {
		readBuffers.Put(c.pooled)
	}
	if c.bodyBuf != nil {
		bodyBuffers.Put(c.bodyBuf)
	}
	c.buf, c.pooled, c.bodyBuf, c.r, c.w = nil, nil, nil, 0, 0
}

// beginExchange prepares c for c.x, whose first byte is there.
func (c *conn) beginExchange() {
	x := c.x
	x.Start = c.Now()
	c.headEnds = x.Start.Add(c.core.HeaderTimeout)
	c.info.Requests++
	x.Number = c.info.Requests
	c.bytesRead, c.bytesSent = 0, 0
	c.left, c.err = -1, nil
	c.headWritten, c.aborted, c.closing, c.simple, c.keepAlive = false, false, false, false, false
	c.chunked, c.bodyless, c.interim, c.draining = false, false, false, false
	x.Req.Scheme = "http"
	if c.info.TLS != nil {
		x.Req.Scheme = "https"
	}
	c.body, c.bodyDue = body{}, time.Time{}
}

// serveOne reads one request head and has it served.
func (c *conn) serveOne(x *proxy.Exchange) {
	c.beginExchange()
	var h h1.RequestHead
	err := c.readHead(x, &h)
	if err == errSilent {
		c.mustClose, c.aborted = true, true
		return
	}
	c.interim = x.Req.Major == 1 && x.Req.Minor > 0
	c.keepAlive = h.KeepAlive
	if err != nil {
		c.mustClose = true
		c.e.ServeError(x, err)
	} else {
		c.body.begin(&x.Req, &h)
		c.e.Serve(x)
	}
}

// endOne ends what serveOne began, once the exchange is through.
func (c *conn) endOne(x *proxy.Exchange) {
	if x.Server != nil { // nil: there was no request, or no server any more
		c.core = x.Core()
	}
	if c.out != nil {
		c.send(nil)
	}
}

// shouldClose decides, after a response, whether the connection ends.
func (c *conn) shouldClose() bool {
	return c.aborted || c.err != nil || c.closing || c.simple || !c.drain() || c.mustClose
}

// reset makes c ready for the next request: what was read behind the body
// moves to the start of a buffer.
func (c *conn) reset() {
	if c.headBuf != nil {
		rest := c.buf[c.r:c.w]
		c.buf, c.pooled = c.headBuf, c.headPool
		c.headBuf, c.headPool = nil, nil
		c.r, c.w = 0, copy(c.buf, rest)
		return
	}
	if c.r == c.w || c.r == 0 {
		return
	}
	c.w = copy(c.buf, c.buf[c.r:c.w])
	c.r = 0
}

// keepHead sets the head's buffer aside: the request's strings alias it.
func (c *conn) keepHead() {
	if c.headBuf == nil {
		c.headBuf, c.headPool = c.buf, c.pooled
		c.buf, c.pooled = nil, nil
	}
}

// finish gives everything back and closes.
func (c *conn) finish() {
	c.state.Store(stateClosed)
	c.wire.Close()
	c.releaseExchange()
	if c.headBuf != nil {
		c.buf, c.pooled = c.headBuf, c.headPool
	}
	c.releaseRead()
	c.releaseOut()
}

// Cut cuts the connection, whose exchange uses the Generation.
func (c *conn) Cut(*proxy.Generation) { c.Close() }

// Close cuts the connection; who serves it then closes it.
func (c *conn) Close() error {
	c.state.Store(stateClosed)
	c.wire.cut()
	if f := c.onCut.Load(); f != nil {
		(*f)()
	}
	return nil
}

// DropConnection closes the connection after this exchange.
func (c *conn) DropConnection() { c.mustClose = true }

// BytesRead is $request_length.
func (c *conn) BytesRead() int64 { return c.bytesRead }

// BytesSent is $bytes_sent.
func (c *conn) BytesSent() int64 { return c.bytesSent }
