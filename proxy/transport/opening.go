package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// opening is a connection on its way to its protocol. Until the hand-over it is the
// Engine's LiveConn.
type opening struct {
	protocols Protocols
	e         *proxy.Engine
	info      *proxy.Conn
	nc        net.Conn            // the accepted connection
	wire      net.Conn            // nc, or TLS above it
	raw       syscall.RawConn     // of nc
	sock      *eventloop.Conn     // nc if a loop calls it; nil on a goroutine
	ends      time.Time           // the deadline for header and handshake
	header    proxy.ProxyProtocol // says which header may come; zero once it was read
	part      []byte              // the bytes of the header that were consumed
	tls       *tls.Config         // nil: the address has no TLS
	state     atomic.Int32
}

// The states of an opening.
const (
	stateOpen   int32 = iota
	stateHanded       // the protocol has the connection
	stateClosed
)

// outcome is how a step of the opening has ended.
type outcome uint8

const (
	done    outcome = iota // the next step can begin
	waiting                // the loop calls the connection again when bytes have come
	over                   // the connection must be closed
)

// errNoDescriptor is returned for a connection without a descriptor to peek at.
var errNoDescriptor = errors.New("the connection has no descriptor")

// open begins to take nc to its protocol. If no loop calls nc, open returns when the
// connection has ended.
func open(p Protocols, e *proxy.Engine, nc net.Conn, info *proxy.Conn, site *proxy.Site) {
	core := site.Default.Root.Core
	o := &opening{protocols: p, e: e, info: info, nc: nc, wire: nc,
		ends: info.Accepted.Add(core.HeaderTimeout), header: site.ProxyProtocol, tls: site.TLS}
	o.sock, _ = nc.(*eventloop.Conn)
	err := errNoDescriptor
	if s, ok := nc.(syscall.Conn); ok {
		o.raw, err = s.SyscallConn()
	}
	if err != nil || !e.Register(info, o) {
		nc.Close()
		return
	}
	if o.sock == nil {
		nc.SetDeadline(o.ends)
		o.advance()
		return
	}
	if timeout := e.Patience(core.HeaderTimeout); timeout < 0 || o.sock.Start(o, timeout) != nil {
		o.end()
	}
}

// Ready implements eventloop.Handler: bytes have come, or the deadline has passed.
func (o *opening) Ready(t *eventloop.Turn) {
	o.sock.Enter(t)
	o.advance()
}

// advance goes on until the connection is handed over, waits, or has ended.
func (o *opening) advance() {
	switch o.prepare() {
	case done:
		o.protocol()(o.e, o.wire, o.info)
	case over:
		o.end()
	}
}

// prepare does the steps before the hand-over, each once. After a panic only this connection
// closes.
func (o *opening) prepare() (s outcome) {
	defer func() {
		if v := recover(); v != nil {
			s = over
			o.note(proxy.LevelAlert, fmt.Sprintf("internal error: %v\n%s", v, debug.Stack()))
		}
	}()
	if o.state.Load() == stateClosed {
		return over
	}
	if !o.header.IsZero() {
		if s = o.readHeader(); s != done {
			return s
		}
	}
	if o.tls != nil {
		if s = o.secure(); s != done {
			return s
		}
	}
	o.wire.SetDeadline(time.Time{})
	if !o.state.CompareAndSwap(stateOpen, stateHanded) {
		return over
	}
	return done
}

// protocol returns the protocol that ALPN has chosen, or HTTP/1.1 if it has chosen none.
func (o *opening) protocol() proxy.ServeConn {
	if o.info.TLS != nil {
		if serve := o.protocols.find(o.info.TLS.NegotiatedProtocol); serve != nil {
			return serve
		}
	}
	return o.protocols.find(HTTP1)
}

// await calls try with the descriptor until try has enough bytes. waits reports that try
// does not have enough yet, and that the loop will call the connection again.
func (o *opening) await(try func(fd uintptr) (enough bool)) (waits bool, err error) {
	if o.sock == nil {
		return false, o.raw.Read(try)
	}
	for {
		late, gone := o.sock.Expired(), o.sock.Gone()
		if late || o.sock.Readable() {
			o.sock.Forget()
			enough := false
			o.raw.Control(func(fd uintptr) { enough = try(fd) })
			if enough {
				o.sock.Missed() // there may be more
				return false, nil
			}
			if gone {
				return false, io.ErrUnexpectedEOF // no more bytes will come
			}
		}
		left := o.e.Patience(time.Until(o.ends))
		if late || left <= 0 {
			return false, os.ErrDeadlineExceeded
		}
		if o.e.Idle(o.sock, left) {
			return true, nil
		}
	}
}

// end closes the connection.
func (o *opening) end() {
	o.state.Store(stateClosed)
	o.wire.Close()
	o.e.Unregister(o.info)
}

// cut makes reads and writes fail. The goroutine that works on the connection then
// closes it.
func (o *opening) cut() error {
	if o.sock != nil {
		o.sock.Cut()
		return nil
	}
	return o.nc.Close()
}

// Drain implements proxy.LiveConn. The client has the time of last to send its header or to
// begin its handshake.
func (o *opening) Drain(last time.Duration) {
	switch {
	case last <= 0:
		if o.state.CompareAndSwap(stateOpen, stateClosed) {
			o.cut()
		}
	case o.sock != nil:
		o.sock.Hurry(last)
	case o.state.Load() == stateOpen:
		o.nc.SetReadDeadline(time.Now().Add(last))
	}
}

// Waits implements proxy.LiveConn. Without a loop, since is zero.
func (o *opening) Waits() (since time.Time, idle bool) {
	if o.state.Load() != stateOpen {
		return since, false
	}
	if o.sock != nil {
		since = o.sock.Idled()
	}
	return since, true
}

// Asked implements proxy.LiveConn. Without a loop it is always false.
func (o *opening) Asked() bool { return o.sock != nil && o.sock.Pending() }

// Tunnels implements proxy.LiveConn.
func (o *opening) Tunnels() bool { return false }

// Cut does nothing: there is no request yet.
func (o *opening) Cut(*proxy.Generation) {}

// Close implements proxy.LiveConn.
func (o *opening) Close() error {
	o.state.Store(stateClosed)
	return o.cut()
}
