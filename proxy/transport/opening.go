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

// opening is a connection before its protocol. It is the Engine's LiveConn so far.
type opening struct {
	protocols Protocols
	e         *proxy.Engine
	info      *proxy.Conn
	nc        net.Conn            // as it was accepted
	wire      net.Conn            // nc, or what lies above it
	raw       syscall.RawConn     // of nc
	sock      *eventloop.Conn     // nc where a loop calls it; nil on a goroutine
	ends      time.Time           // when the client must have sent what is due here
	header    proxy.ProxyProtocol // the zero value once the header was read
	part      []byte              // of the header, consumed
	tls       *tls.Config         // of the handshake; nil without
	state     atomic.Int32
}

// The states of an opening.
const (
	stateOpen   int32 = iota
	stateHanded       // to the protocol
	stateClosed
)

// errNoDescriptor is a connection whose bytes cannot be looked at.
var errNoDescriptor = errors.New("the connection has no descriptor")

// open begins to take nc to its protocol; on a goroutine it returns when the
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

// Ready implements eventloop.Handler: bytes have come, or the time is over.
func (o *opening) Ready(t *eventloop.Turn) {
	o.sock.Enter(t)
	o.advance()
}

// advance goes on until the connection is handed over, has ended, or waits for
// its loop.
func (o *opening) advance() {
	switch ready, waits := o.prepare(); {
	case ready:
		o.protocol()(o.e, o.wire, o.info)
	case !waits:
		o.end()
	}
}

// prepare readies the wire for the protocol. Where it is not ready the connection
// waits for its loop, or is to be closed. A mistake of ours costs no more than the
// connection.
func (o *opening) prepare() (ready, waits bool) {
	defer func() {
		if v := recover(); v != nil {
			ready, waits = false, false
			o.note(proxy.LevelAlert, fmt.Sprintf("internal error: %v\n%s", v, debug.Stack()))
		}
	}()
	if o.state.Load() == stateClosed {
		return false, false
	}
	if !o.header.IsZero() {
		if ready, waits = o.readHeader(); !ready {
			return false, waits
		}
	}
	if o.tls != nil {
		if ready, waits = o.secure(); !ready {
			return false, waits
		}
	}
	o.wire.SetDeadline(time.Time{})
	return o.state.CompareAndSwap(stateOpen, stateHanded), false
}

// protocol is what was negotiated, HTTP/1.1 where nothing was.
func (o *opening) protocol() proxy.ServeConn {
	if o.info.TLS != nil {
		if serve := o.protocols.find(o.info.TLS.NegotiatedProtocol); serve != nil {
			return serve
		}
	}
	return o.protocols.find(HTTP1)
}

// await calls try, with the descriptor, until it reports that it needs no more
// bytes. waits: it needs some, and the loop calls the connection again.
func (o *opening) await(try func(fd uintptr) (done bool)) (waits bool, err error) {
	if o.sock == nil {
		return false, o.raw.Read(try)
	}
	for {
		late, gone := o.sock.Expired(), o.sock.Gone()
		if late || o.sock.Readable() {
			o.sock.Forget()
			done := false
			o.raw.Control(func(fd uintptr) { done = try(fd) })
			if done {
				o.sock.Missed() // there may be more
				return false, nil
			}
			if gone {
				return false, io.ErrUnexpectedEOF // what was looked at and left is all
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

// cut makes the connection fail; who works on it then closes it.
func (o *opening) cut() error {
	if o.sock != nil {
		o.sock.Cut()
		return nil
	}
	return o.nc.Close()
}

// Drain implements proxy.LiveConn: what the client was about to send it may send within
// last.
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

// Waits implements proxy.LiveConn. Outside a loop it knows no time.
func (o *opening) Waits() (since time.Time, idle bool) {
	if o.state.Load() != stateOpen {
		return since, false
	}
	if o.sock != nil {
		since = o.sock.Idled()
	}
	return since, true
}

// Asked implements proxy.LiveConn. Outside a loop it is not known.
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
