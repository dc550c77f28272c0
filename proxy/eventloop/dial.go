package eventloop

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial begins to connect to peer and returns the socket, which the caller owns. Where
// the connection is not there yet, connected is false: the caller waits with
// IdleBoth, and then asks Connected.
func (l *Loop) Dial(peer unix.Sockaddr, h Handler) (c *Conn, connected bool, err error) {
	family, internet := unix.AF_UNIX, false
	switch peer.(type) {
	case *unix.SockaddrInet4:
		family, internet = unix.AF_INET, true
	case *unix.SockaddrInet6:
		family, internet = unix.AF_INET6, true
	}
	fd, err := socket(family)
	if err != nil {
		return nil, false, os.NewSyscallError("socket", err)
	}
	if internet {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	err = unix.Connect(fd, peer)
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, false, os.NewSyscallError("connect", err)
	}
	connected = err == nil
	c = &Conn{peer: peer}
	c.state.Store(owned)
	c.writes = !connected
	if err := c.start(l, fd, h, 0); err != nil {
		unix.Close(fd)
		return nil, false, err
	}
	return c, connected, nil
}

// Connected returns why the connection that Dial began has failed, unix.EAGAIN
// while that is not known, nil once it is there.
func (c *Conn) Connected() error {
	switch code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case code != 0:
		return os.NewSyscallError("connect", unix.Errno(code))
	case c.state.Load()&(writable|dead) == 0:
		return unix.EAGAIN
	}
	return nil
}

// IdleBoth is Idle, but the Handler is called when something can be written, too. It
// is for an owner whose last write had no room, or that has dialed.
func (d *Descriptor) IdleBoth(timeout time.Duration) bool {
	d.state.Or(wantWrite)
	if d.pollWrites() == nil && d.idle(timeout, readable|halfClosed|dead|writable) {
		return true
	}
	d.state.And(^wantWrite)
	return false
}

// Again is Idle, but gives the descriptor back in any case: where there is something
// to read the Handler is called in a turn to come, after others have had theirs.
func (d *Descriptor) Again(timeout time.Duration) {
	writes := d.writes
	d.mu.Lock() // the next owner cannot close before the poller has been asked
	defer d.mu.Unlock()
	d.idle(timeout, 0)
	d.loop.poller.rewatch(d.fd, d.tag, writes)
}

// Take takes the descriptor back from its Loop, for the caller to own. It is false
// where its Handler is called, or about to be: that owns it.
func (d *Descriptor) Take() bool {
	for {
		s := d.state.Load()
		if s&owned != 0 {
			return false
		}
		if d.state.CompareAndSwap(s, s&^wantWrite|owned) {
			d.turn = nil
			return true
		}
	}
}
