package eventloop

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a stream socket in a Loop, as a net.Conn: a Read or Write that has to
// wait detaches first. One goroutine may read and one may write; they may be two
// goroutines only after both have detached. Any goroutine may call Cut, Gone, Lost, Silent,
// Idled, Pending and Hurry at any time. A Conn is also a Duplex.
type Conn struct {
	Descriptor
	peer, own          unix.Sockaddr
	readDue, writeDue  int64         // deadlines, by the Loop's clock; 0: none
	readWait, sendWait time.Duration // the longest that one wait may take; 0: no limit
	gather             writev
	roomWait           func() error // see WaitRoomBy; nil in most cases
}

// Start makes the Loop call h when the connection is readable, or after timeout (0: never).
// Until then the Conn has no owner. A Conn that was started before takes a new
// Handler by Adopt.
func (c *Conn) Start(h Handler, timeout time.Duration) error {
	return c.start(h, timeout)
}

// Read reads what has come. If nothing has, it waits, until the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n, err := c.readNow(p); err != unix.EAGAIN {
			return n, err
		}
		c.Detach()
		if err := c.waitRead(c.bound(c.readDue, c.readWait)); err != nil {
			return 0, c.fail("read", err)
		}
	}
}

// readNow is Read that returns unix.EAGAIN instead of waiting.
func (c *Conn) readNow(p []byte) (int, error) {
	if !c.Readable() {
		return 0, unix.EAGAIN
	}
	n, err := c.TryRead(p)
	return c.received(n, err)
}

// received returns the result of Receive for that of TryRead.
func (c *Conn) received(n int, err error) (int, error) {
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		return 0, io.EOF
	case err != unix.EAGAIN:
		return 0, c.fail("read", err)
	}
	return 0, unix.EAGAIN
}

// Receive implements Duplex.
func (c *Conn) Receive(p []byte) (int, error) { return c.readNow(p) }

// ReceiveBoth is Receive into p and, once that is full, into more: see TryReadBoth.
func (c *Conn) ReceiveBoth(p, more []byte) (int, error) {
	if !c.Readable() {
		return 0, unix.EAGAIN
	}
	n, err := c.TryReadBoth(p, more)
	return c.received(n, err)
}

// Send implements Duplex.
func (c *Conn) Send(p []byte) (done int, err error) {
	for done < len(p) {
		n, err := c.TryWrite(p[done:])
		done += max(n, 0)
		if err == unix.EAGAIN {
			return done, err
		}
		if err != nil {
			return done, c.fail("write", err)
		}
	}
	return done, nil
}

// Write writes all of p. It waits for room, until the write deadline.
func (c *Conn) Write(p []byte) (int, error) {
	done := 0
	for {
		n, err := c.Send(p[done:])
		done += n
		if err == unix.EAGAIN {
			err = c.room()
		}
		if done == len(p) || err != nil {
			return done, err
		}
	}
}

// WriteBoth writes a and then b, in one system call if the socket has room.
func (c *Conn) WriteBoth(a, b []byte) (n int, err error) {
	if len(a) > 0 && len(b) > 0 {
		c.state.And(^(writable | untried))
		if n, err = c.gather.write(c.fd, a, b); err != nil && err != unix.EAGAIN {
			return 0, c.fail("write", err)
		}
	}
	if n < len(a) {
		m, err := c.Write(a[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	m, err := c.Write(b[n-len(a):])
	return n + m, err
}

// room waits until something can be written.
func (c *Conn) room() error {
	c.Detach()
	if wait := c.roomWait; wait != nil {
		c.roomWait = nil // a Write inside wait waits by itself
		defer c.WaitRoomBy(wait)
		if c.labors {
			c.Rest()
			defer c.Labor()
		}
		if err := wait(); err != nil {
			return c.fail("write", err)
		}
		return nil
	}
	if err := c.waitWrite(c.bound(c.writeDue, c.sendWait)); err != nil {
		return c.fail("write", err)
	}
	return nil
}

// WaitRoomBy makes a Write that finds no room call wait. wait returns nil once AwaitRoom says
// that there may be room, or the reason why there will be none. If wait is nil, Write waits by
// itself.
func (c *Conn) WaitRoomBy(wait func() error) { c.roomWait = wait }

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: wrap(op, err)}
}

func wrap(op string, err error) error {
	if _, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError(op, err)
	}
	return err
}

// CloseWrite ends the sending side.
func (c *Conn) CloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_WR))
}

// ResetOnClose makes Close send a reset.
func (c *Conn) ResetOnClose() {
	unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// Peek copies the next byte to b without consuming it and without waiting. It returns
// unix.EAGAIN if there is none, 0 and nil at the end.
func (c *Conn) Peek(b *[1]byte) (int, error) {
	n, _, err := unix.Recvfrom(c.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n, err
}

// Silent reports that the peer may have closed: it has ended its sending side,
// nothing was written since, and all that was written before has arrived. The next
// write would show whether it has closed. A unix socket shows a close at once (see
// Lost), and is never silent. Any goroutine may call Silent.
func (c *Conn) Silent() bool {
	if c.state.Load()&(untried|dead) != untried || c.network() == "unix" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && unsent(c.fd) == 0
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readDue, c.writeDue = c.due(t), c.due(t)
	return nil
}

// SetReadDeadline sets the time until which Read waits. Zero: it waits without limit.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readDue = c.due(t)
	return nil
}

// SetWriteDeadline sets the time until which Write waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeDue = c.due(t)
	return nil
}

// SetReadTimeout sets how long each wait of Read may take; the deadline holds, too.
// It costs nothing if Read does not wait. 0: no limit.
func (c *Conn) SetReadTimeout(d time.Duration) { c.readWait = d }

// SetWriteTimeout sets how long each wait of Write may take.
func (c *Conn) SetWriteTimeout(d time.Duration) { c.sendWait = d }

func (c *Conn) bound(due int64, wait time.Duration) int64 {
	if wait > 0 {
		if end := c.loop.clock() + int64(wait); due == 0 || end < due {
			return end
		}
	}
	return due
}

func (c *Conn) due(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(c.loop.since(t), 1)
}

// LocalAddr returns the address that the client has connected to.
func (c *Conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil {
		c.own, _ = sockname(c.fd)
	}
	return Addr(c.own)
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return Addr(c.peer) }

func (c *Conn) network() string {
	if _, ok := c.peer.(*unix.SockaddrUnix); ok {
		return "unix"
	}
	return "tcp"
}

// Addr returns sa as an address of package net.
func Addr(sa unix.Sockaddr) net.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		t := &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
		if a.ZoneId != 0 {
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				t.Zone = i.Name
			}
		}
		return t
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: strings.TrimPrefix(a.Name, "@"), Net: "unix"}
	}
	return &net.TCPAddr{}
}

// SyscallConn gives access to the descriptor: Read and Write call f until it
// returns true, and between the calls wait as Conn's own methods do.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return (*rawConn)(c), nil }

type rawConn Conn

func (r *rawConn) Control(f func(fd uintptr)) error {
	f(uintptr(r.fd))
	return nil
}

func (r *rawConn) Read(f func(fd uintptr) bool) error {
	c := (*Conn)(r)
	for {
		c.Forget()
		if f(uintptr(c.fd)) {
			c.Missed() // f may not have read all
			return nil
		}
		c.Detach()
		if err := c.waitRead(c.bound(c.readDue, c.readWait)); err != nil {
			return c.fail("read", err)
		}
	}
}

func (r *rawConn) Write(f func(fd uintptr) bool) error {
	c := (*Conn)(r)
	for {
		c.state.And(^(writable | untried))
		if f(uintptr(c.fd)) {
			return nil
		}
		if err := c.room(); err != nil {
			return err
		}
	}
}
