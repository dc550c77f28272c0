package eventloop

import (
	"os"

	"golang.org/x/sys/unix"
)

// Dial begins to connect to peer and returns the socket, both sides of which the caller
// owns. If connected is false, the connection is not made yet: the caller waits with
// IdleBoth, and then writes. The write returns unix.EAGAIN while the connection is still
// not made, and the reason if it has failed. Dial does not change peer.
func (l *Loop) Dial(peer unix.Sockaddr, h Handler) (c *Conn, connected bool, err error) {
	return l.DialWith(peer, nil, h)
}

// DialWith is Dial that calls prepare with the socket before it connects. If prepare returns
// an error, DialWith returns it. prepare may be nil.
func (l *Loop) DialWith(peer unix.Sockaddr, prepare func(fd int) error, h Handler) (c *Conn, connected bool, err error) {
	peer, family := ownAddress(peer)
	internet := family != unix.AF_UNIX
	fd, err := socket(family)
	if err != nil {
		return nil, false, os.NewSyscallError("socket", err)
	}
	if internet {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if prepare != nil {
		if err := prepare(fd); err != nil {
			unix.Close(fd)
			return nil, false, err
		}
	}
	err = unix.Connect(fd, peer)
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, false, os.NewSyscallError("connect", err)
	}
	connected = err == nil
	c = &Conn{peer: peer}
	c.attach(l, fd)
	c.in.call(h)
	if err := c.register(!connected); err != nil {
		unix.Close(fd)
		return nil, false, err
	}
	return c, connected, nil
}

// Connected returns nil if the connection that Dial has begun is made, unix.EAGAIN if it is
// not made yet, and the reason if it has failed. It is for a caller that has nothing to write
// yet.
func (c *Conn) Connected() error {
	c.state.And(^writable)
	if _, err := unix.Getpeername(c.fd); err == nil {
		return nil
	}
	if no, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
		return os.NewSyscallError("getsockopt", err)
	} else if no != 0 {
		return unix.Errno(no)
	}
	return unix.EAGAIN
}

// ownAddress returns a copy of peer, and its family. unix.Connect writes the system's form of
// the address into the copy.
func ownAddress(peer unix.Sockaddr) (own unix.Sockaddr, family int) {
	switch a := peer.(type) {
	case *unix.SockaddrInet4:
		return &unix.SockaddrInet4{Port: a.Port, Addr: a.Addr}, unix.AF_INET
	case *unix.SockaddrInet6:
		return &unix.SockaddrInet6{Port: a.Port, ZoneId: a.ZoneId, Addr: a.Addr}, unix.AF_INET6
	case *unix.SockaddrUnix:
		return &unix.SockaddrUnix{Name: a.Name}, unix.AF_UNIX
	}
	return peer, unix.AF_UNIX
}
