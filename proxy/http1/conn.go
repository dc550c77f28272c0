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

// conn is one connection, and the proxy.Wire of the exchange on it.
type conn struct {
	e    *proxy.Engine
	wire wire
	info *proxy.Conn
	core *proxy.Core     // of the default server, then of the exchange's location
	x    *proxy.Exchange // nil while the connection idles

	// Other goroutines than the one that drives c use these, too.
	state      atomic.Int32
	watcher    atomic.Pointer[proxy.Waiting]   // is woken when the client leaves
	awaitsBody atomic.Bool                     // AwaitBody has given the reading side to the loop, which has not called Ready yet
	onCut      atomic.Pointer[func(down bool)] // is called when an upgraded connection is about to be cut

	parked bool // the exchange is parked: the goroutine that drives c next resumes it
	inTurn int  // how many requests c has answered since it was driven last
	putOff bool // c has given up its turn, although it may have read requests
	exchange
	input
	output
	dropping
	ending
}

// exchange is the state of one exchange. The zero exchange has not begun.
type exchange struct {
	headEnds  time.Time // the deadline for the head
	simple    bool      // the request is of HTTP/0.9: the response is the body alone
	interim   bool      // the client understands 1xx responses: HTTP/1.1 or later
	keepAlive bool      // the client wants to send another request
	body      body
	bodyDue   time.Time // when the wait for more of the body ends; zero: nobody waits
	bytesRead int64     // of the request, see BytesRead
	bytesSent int64
	framing   framing // of the response
	left      int64   // how many bytes of the response's body are left, with the framing byLength
	closing   bool    // the response says Connection: close
	err       error   // why nothing can be sent any more
}

// input is the reading side's buffer: buf[r:w] was read and not consumed yet.
type input struct {
	buf      []byte
	pooled   *[]byte // where buf came from; nil if it has grown
	bodyBuf  *[]byte // holds the framing of a body once the head's buffer is used up
	headBuf  []byte  // the head's buffer while buf is bodyBuf's
	headPool *[]byte // where headBuf came from
	headEnd  int     // where the request's head ends in buf, or in headBuf
	r, w     int
	one      [1]byte // for a byte that is peeked at
}

// output is what the writing side sends.
type output struct {
	out     []byte    // the queued bytes
	outPool *[]byte   // where out came from
	file    *fileSend // nil until the kernel sends a file
	turn    int       // bytes of a file that were sent since others had their turn
}

// ending is how the connection ends.
type ending struct {
	mustClose bool // it closes after this exchange
	last      bool // nothing is sent after the queued bytes
	timedOut  bool // the client did not send a head or body in time
	resets    bool // the close will be a reset
	after     after
}

// The states of a connection, as Drain and Close see it.
const (
	stateIdle int32 = iota
	stateActive
	stateClosed
)

// framing is how the client finds the end of the response's body (RFC 9112 section 6.3).
type framing uint8

const (
	noHead     framing = iota // no head was written yet
	noBody                    // the response has no body
	byLength                  // by Content-Length
	chunked                   // by the last chunk
	untilClose                // by the end of the connection
)

// after is what the connection is after an upgrade.
type after uint8

const (
	staysHTTP after = iota
	upgraded        // a handler reads and writes a tunnel
	duplex          // the loop calls the handlers of the tunnel
)

const bufferSize = 4 << 10

func newBuffer() any { b := make([]byte, bufferSize); return &b }

var (
	readBuffers  = sync.Pool{New: newBuffer}
	bodyBuffers  = sync.Pool{New: newBuffer}
	writeBuffers = sync.Pool{New: newBuffer}
)

// Serve serves HTTP/1.1 on nc until it closes; it is a proxy.ServeConn.
func Serve(e *proxy.Engine, nc net.Conn, info *proxy.Conn) {
	c := &conn{e: e, wire: wireOf(nc), info: info, ending: ending{mustClose: info.Refusal != nil}}
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

// serve serves requests until the connection is to be closed. It returns true if the
// connection waits for its loop or an event.
func (c *conn) serve() (waits bool) {
	for {
		if c.drops == nothing {
			if p := c.serveNext(); p != arrived {
				return p == waiting
			}
		}
		if p := c.conclude(); p != arrived {
			return p == waiting
		}
		if c.inTurn++; c.inTurn >= pipelinedAtOnce && c.giveTurn() {
			return true
		}
	}
}

// pipelinedAtOnce is how many requests of a connection are answered before others have their
// turn. A client can send thousands in one write.
const pipelinedAtOnce = 16

// giveTurn puts the next request off if other connections have something to do. Meanwhile the
// connection is no idle one, which could be closed at any time.
func (c *conn) giveTurn() bool {
	if t := c.wire.Turn(); !c.wire.suspends() || t != nil && t.Alone() {
		return false
	}
	if !c.state.CompareAndSwap(stateIdle, stateActive) {
		return false
	}
	c.putOff = true
	c.wire.again()
	return true
}

// serveNext serves the next request, or goes on with the one that was parked. It returns
// arrived once the response has ended.
func (c *conn) serveNext() progress {
	if !c.parked {
		pipelined := c.r < c.w
		if !pipelined {
			if p := c.awaitRequest(); p != arrived {
				return p
			}
		}
		if !c.beginRequest() {
			return over
		}
		c.x.Pipelined = pipelined
		c.serveOne(c.x)
	}
	for c.x.Suspended() {
		if !c.parked {
			c.parked = true
			if c.x.Park() {
				return waiting
			}
		}
		c.parked = false
		c.e.Resume(c.x)
	}
	c.forgetBody()
	c.endOne(c.x)
	return arrived
}

// conclude ends a request whose response has ended, or goes on with that. It returns
// arrived if another request can follow.
func (c *conn) conclude() progress {
	if c.drops == everything {
		return c.linger()
	}
	if !c.mustClose && c.err == nil && !c.closing {
		switch c.drain() {
		case waiting:
			return waiting
		case arrived:
			if c.nextRequest() {
				return arrived
			}
		}
	}
	return c.closeConn()
}

// beginRequest readies c for a request whose first bytes have come. It returns false if
// the connection is to be closed.
func (c *conn) beginRequest() bool {
	if !c.wire.begin(&c.state, c.e.Draining()) {
		return false
	}
	// The head chooses the server. Until then the settings of the default server count,
	// which a reload may have changed.
	if c.core = c.e.Defaults(c.info); c.core == nil {
		return false
	}
	if c.x == nil {
		c.x = proxy.NewExchange(c.info, c)
	} else {
		c.x.Reset()
	}
	return true
}

// nextRequest readies c to wait for another request. It returns false if the connection
// is to be closed. It leaves c.x as it is. If the next request has come already,
// beginRequest resets c.x; otherwise c.x is released before the connection waits.
func (c *conn) nextRequest() bool {
	c.reset()
	return c.state.CompareAndSwap(stateActive, stateIdle)
}

// end closes the connection. panicked is the result of recover: a panic is logged and ends
// this connection alone. (The Engine itself recovers from panics of handlers.)
func (c *conn) end(panicked any) {
	if panicked != nil && c.core != nil && c.core.ErrorLog != nil {
		c.core.ErrorLog.Log(context.Background(), proxy.LevelAlert, fmt.Sprintf("internal error: %v\n%s", panicked, debug.Stack()), "client", c.info.RemoteAddr)
	}
	if panicked != nil {
		c.x = nil // its state is unknown: it must not be used again
	}
	c.finish()
	c.e.Unregister(c.info)
}

// awaitRequest waits for the first bytes of a request. Meanwhile the connection holds
// neither a buffer nor an Exchange.
func (c *conn) awaitRequest() progress {
	c.releaseRead()
	timeout := c.core.KeepaliveTimeout
	if c.info.Requests == 0 {
		timeout = c.core.HeaderTimeout
	}
	if timeout = c.e.Patience(timeout); timeout < 0 {
		return over
	}
	return c.wire.await(c, timeout)
}

func (c *conn) releaseExchange() {
	if c.x != nil {
		c.x.Release()
		c.x = nil
	}
}

// takeRead takes a buffer to read requests into.
func (c *input) takeRead() {
	if c.buf == nil {
		c.pooled = readBuffers.Get().(*[]byte)
		c.buf = *c.pooled
	}
	c.r, c.w = 0, 0
}

// releaseRead gives the buffers back. buf must be the head's.
func (c *input) releaseRead() {
	if c.pooled != nil {
		readBuffers.Put(c.pooled)
	}
	if c.bodyBuf != nil {
		bodyBuffers.Put(c.bodyBuf)
	}
	c.buf, c.pooled, c.bodyBuf, c.r, c.w = nil, nil, nil, 0, 0
}

// beginExchange prepares c for c.x, whose first bytes have come.
func (c *conn) beginExchange() {
	x := c.x
	x.Start = c.Now()
	c.exchange = exchange{headEnds: x.Start.Add(c.core.HeaderTimeout)}
	c.info.Requests++
	x.Number = c.info.Requests
	x.Req.Scheme = "http"
	if c.info.TLS != nil {
		x.Req.Scheme = "https"
	}
}

// serveOne reads one request head and serves the request.
func (c *conn) serveOne(x *proxy.Exchange) {
	c.beginExchange()
	var h h1.RequestHead
	err := c.readHead(x, &h)
	if err == errSilent {
		c.mustClose = true
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

// endOne ends the exchange that serveOne has begun, after its response.
func (c *conn) endOne(x *proxy.Exchange) {
	if x.Server != nil { // nil: there was no request, or its server is gone
		c.core = x.Core()
	}
	if c.out != nil {
		c.send(nil)
	}
}

// reset readies the buffer for the next request: bytes that were read after the body move
// to its start.
func (c *input) reset() {
	rest := c.buf[c.r:c.w]
	switch {
	case c.headBuf != nil:
		c.useHead()
	case c.r == c.w || c.r == 0:
		return
	}
	c.r, c.w = 0, copy(c.buf, rest)
}

// keepHead sets the head's buffer aside, as the request's strings alias it.
func (c *input) keepHead() {
	if c.headBuf == nil {
		c.headBuf, c.headPool = c.buf, c.pooled
		c.buf, c.pooled = nil, nil
	}
}

// useHead makes buf the head's buffer again, if keepHead has set that aside.
func (c *input) useHead() {
	if c.headBuf != nil {
		c.buf, c.pooled = c.headBuf, c.headPool
		c.headBuf, c.headPool = nil, nil
	}
}

// finish closes the connection and gives everything back.
func (c *conn) finish() {
	c.state.Store(stateClosed)
	c.wire.Close()
	c.releaseAll()
}

// releaseAll gives the Exchange and the buffers back.
func (c *conn) releaseAll() {
	c.releaseExchange()
	c.useHead()
	c.releaseRead()
	c.releaseOut()
}

// Cut implements proxy.LiveConn. It cuts the connection, whose only exchange uses the
// Generation.
func (c *conn) Cut(*proxy.Generation) { c.Close() }

// Close implements proxy.LiveConn: it cuts the connection, and the goroutine that serves
// it then closes it.
func (c *conn) Close() error {
	c.state.Store(stateClosed)
	if f := c.onCut.Load(); f != nil {
		(*f)(c.e.Draining())
	}
	c.wire.cut()
	return nil
}

// DropConnection makes the connection close after this exchange.
func (c *conn) DropConnection() { c.mustClose = true }

// BytesRead returns $request_length.
func (c *conn) BytesRead() int64 { return c.bytesRead }

// BytesSent returns $bytes_sent.
func (c *conn) BytesSent() int64 { return c.bytesSent }
