package http1

import (
	"cmp"
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"alicorn/proxy"
)

// closeConn ends the connection so that the client sees the whole response.
func (c *conn) closeConn() {
	if c.timedOut && c.err == nil && !c.resets {
		c.endWriting() // and no more: the client has had its time
		return
	}
	if c.err != nil || c.resets || c.upgraded || c.core.Lingering == proxy.LingeringOff {
		return
	}
	if c.mustClose || c.r < c.w || !c.body.Ended() || c.core.Lingering == proxy.LingeringAlways || c.unread() {
		c.linger()
	}
}

// unread reports that the client has sent what nobody has read yet.
func (c *conn) unread() bool {
	n, err := c.peek()
	return n > 0 && err == nil
}

// linger ends the sending side and reads for a while what the client still
// sends: closing with unread data would reset the connection and take the
// response back. lingering_time bounds it all, lingering_timeout each wait.
func (c *conn) linger() {
	if !c.endWriting() {
		return
	}
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	end := time.Now().Add(c.core.LingeringTime)
	for time.Now().Before(end) {
		c.readDeadlineAt(time.Now().Add(min(c.core.LingeringTimeout, time.Until(end))))
		if n, err := c.nc.Read(*buf); err != nil || n == 0 {
			return
		}
	}
}

// endWriting ends the sending side, so that the client sees the end of the
// response whatever the close brings about.
func (c *conn) endWriting() bool {
	t, ok := c.nc.(interface{ CloseWrite() error })
	return ok && t.CloseWrite() == nil && c.flushCarrier() == nil
}

// resetOnClose makes the close of the connection a reset.
func (c *conn) resetOnClose() {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	switch t := nc.(type) {
	case *net.TCPConn:
		t.SetLinger(0)
		c.resets = true
	case interface{ ResetOnClose() }:
		t.ResetOnClose()
		c.resets = true
	}
}

// Gone reports, as nginx understands it, that the client wants no answer any
// more: it has closed, reset, or only ended its sending side, which cannot be
// told from a close. It is asked where a request waits before it is worked on;
// an answer that is ready goes out to half-closed connections. Without loops
// only a reset is seen.
func (c *conn) Gone() bool {
	client := c.Client()
	return c.err != nil || client != nil && client.Gone()
}

// Client is proxy.Stream's.
func (c *conn) Client() proxy.Client {
	switch {
	case c.sock != nil:
		return c.sock
	case c.peer != nil:
		return c.peer
	}
	return nil
}

// peek looks at the socket's next byte without waiting; EAGAIN when there is
// none or, for TLS, when it cannot tell.
func (c *conn) peek() (n int, err error) {
	if c.raw == nil {
		return 0, syscall.EAGAIN
	}
	if c.sock != nil {
		return c.sock.Peek(&c.one)
	}
	return peek(c.raw)
}

// peer is the client of a connection that a goroutine serves throughout. Only a
// reset shows.
type peer struct{ raw syscall.RawConn }

// Gone is proxy.Client's.
func (p *peer) Gone() bool { return p.Lost() }

// Lost is proxy.Client's.
func (p *peer) Lost() bool {
	_, err := peek(p.raw)
	return err != nil && err != syscall.EAGAIN && err != syscall.EINTR
}

// Silent is proxy.Client's.
func (p *peer) Silent() bool { return false }

// peek looks at the next byte without waiting.
func peek(raw syscall.RawConn) (n int, err error) {
	var one [1]byte
	ctl := raw.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n, cmp.Or(ctl, err)
}
