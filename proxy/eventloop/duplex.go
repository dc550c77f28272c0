package eventloop

import (
	"crypto/tls"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Duplex is a connection whose two sides have a Handler each. The Handlers may run at the same
// time, and never wait. It is a Conn, or TLS above a Carrier. The methods without a comment
// are as those of Descriptor.
type Duplex interface {
	// Receive reads what has come. It returns unix.EAGAIN if nothing has, io.EOF at the
	// end of what the peer sends.
	Receive(p []byte) (int, error)
	// Send sends as much as there is room for. The caller may forget the first n bytes
	// of p. unix.EAGAIN: bytes wait for room, of p[n:] or of those n. Then the caller
	// calls Send again with p[n:], even if that is empty, until it returns another
	// error or none.
	Send(p []byte) (n int, err error)
	// CloseWrite ends the sending side after what was sent. The caller calls Send(nil)
	// after it.
	CloseWrite() error

	Adopt(h Handler) bool
	Idle(timeout time.Duration) bool
	Hurry(timeout time.Duration)
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

// DuplexOf returns nc as a Duplex. From then on nc must be used only through the Duplex. nc is
// a *Conn, a *tls.Conn above a *Carrier after its handshake, or a type with a method Duplex
// that returns one. For any other nc DuplexOf returns nil: no loop calls it.
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

// Receive reads what TLS has decrypted.
func (s *sealed) Receive(p []byte) (int, error) {
	n, err := s.tls.Read(p)
	if err == ErrNothing {
		err = unix.EAGAIN
	}
	return n, err
}

// Send encrypts p once all that was encrypted before has been sent.
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
