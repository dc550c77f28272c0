package eventloop

import (
	"crypto/tls"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Duplex is a connection whose reading and writing Handlers work on apart, perhaps at
// the same time, and never wait: a Conn, or TLS above a Carrier. Descriptor says what
// the methods do that are not described here.
type Duplex interface {
	// Receive reads what is there: unix.EAGAIN when there is nothing, io.EOF at the
	// end of what the peer sends.
	Receive(p []byte) (int, error)
	// Send sends as much as there is room for. n bytes are done with; unix.EAGAIN:
	// something waits for room, of p[n:] or of what was done with. Send is to be
	// called again with p[n:], be that empty, until it returns another error or none.
	Send(p []byte) (n int, err error)
	// CloseWrite ends the sending side, behind what was sent. Send(nil) follows it.
	CloseWrite() error

	Adopt(h Handler) bool
	Idle(timeout time.Duration) bool
	Expired() bool
	Again()

	AdoptWriter(h Handler)
	AwaitRoom(timeout time.Duration) bool
	RoomExpired() bool

	Watch()
	Lost() bool
	Cut()
	Close() error
}

// DuplexOf returns nc, which nobody reads or writes from now on, as a Duplex: that which
// its own method of that name returns, a *Conn, or a *tls.Conn above a *Carrier, whose
// handshake is over. It is nil where no loop calls nc.
func DuplexOf(nc net.Conn) Duplex {
	switch t := nc.(type) {
	case interface{ Duplex() Duplex }:
		return t.Duplex()
	case *Conn:
		return t
	case *tls.Conn:
		if k, ok := t.NetConn().(*Carrier); ok {
			k.share()
			return &sealed{Conn: k.Conn, tls: t, carrier: k}
		}
	}
	return nil
}

// sealed is TLS above a Carrier.
type sealed struct {
	*Conn
	tls     *tls.Conn
	carrier *Carrier
}

// Receive reads what TLS opens.
func (s *sealed) Receive(p []byte) (int, error) {
	n, err := s.tls.Read(p)
	if err == ErrNothing {
		err = unix.EAGAIN
	}
	return n, err
}

// Send seals p once what was sealed before has left.
func (s *sealed) Send(p []byte) (n int, err error) {
	if err := s.carrier.push(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	if n, err = s.tls.Write(p); err == nil {
		err = s.carrier.push(0)
	}
	return n, err
}

// CloseWrite sends TLS's close_notify.
func (s *sealed) CloseWrite() error { return s.tls.CloseWrite() }

// Close ends TLS and the connection.
func (s *sealed) Close() error { return s.tls.Close() }
