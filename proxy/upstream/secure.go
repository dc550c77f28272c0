package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy/eventloop"
	ourtls "alicorn/tls"
)

// Secure is how connections to upstreams are encrypted, and whom they trust. After Key it
// does not change.
type Secure struct {
	out      ourtls.Outbound
	indicate bool // SNI
}

// NewSecure returns a Secure that accepts any certificate. resumes lets connections resume
// sessions of earlier ones; indicate tells the upstream the name that is asked for.
func NewSecure(resumes, indicate bool) *Secure {
	return &Secure{out: ourtls.Outbound{Resumes: resumes}, indicate: indicate}
}

// Versions sets the versions of TLS, by nginx's names.
func (s *Secure) Versions(names []string) (err error) {
	s.out.MinVersion, s.out.MaxVersion, err = ourtls.VersionRange(names)
	return err
}

// Ciphers sets the ciphers before TLS 1.3, as OpenSSL lists them. dropped are those that
// Go does not have.
func (s *Secure) Ciphers(list string) (dropped []string, err error) {
	s.out.Ciphers, dropped, err = ourtls.CipherList(list)
	return dropped, err
}

// Verify has the certificates of upstreams verified against the CAs of a file. At most
// depth CAs may stand between a certificate and the root. With a file crl that has lists
// of revoked certificates each CA must have one. Errors are one sentence.
func (s *Secure) Verify(h config.Host, cas, crl string, depth int) error {
	s.out.Servers = ourtls.NewVerifier(depth)
	if err := s.out.Servers.Trust(h, cas, false); err != nil || crl == "" {
		return err
	}
	return s.out.Servers.Revoke(h, crl)
}

// Identify has upstreams that ask for a certificate get that of a file; see LoadPair of
// package tls. The key may be encrypted with one of the passwords of a file, "" for none.
func (s *Secure) Identify(h config.Host, cert, key, passwords string) error {
	words, err := ourtls.ReadPasswords(h, passwords)
	if err != nil {
		return err
	}
	s.out.Certificate, err = ourtls.LoadPair(h, cert, key, words...)
	return err
}

// Key makes s ready. The key is the same for two Secures that do the same, and may take
// over each other's connections and sessions.
func (s *Secure) Key() string {
	s.out.Prepare()
	key := s.out.Digest()
	if s.indicate {
		key += " indicated"
	}
	return key
}

// Handshake does the handshake on a connection that a loop calls, for a request to name.
// peer is the address. It waits for the upstream, at most for timeout (0: no limit), on
// the caller's goroutine, which owns the connection and leads no loop. After an error c is
// closed.
func (s *Secure) Handshake(c *eventloop.Conn, peer, name string, timeout time.Duration) (*Sealed, error) {
	c.Labor()
	defer c.Rest()
	carrier := eventloop.NewCarrier(c)
	t := tls.Client(carrier, s.out.Config(peer, name, s.indicate))
	if err := shake(t, timeout); err != nil {
		t.Close() // with the alert that says why
		return nil, err
	}
	return &Sealed{tls: t, carrier: carrier, duplex: eventloop.DuplexOf(t)}, nil
}

// HandshakeOn is Handshake for a connection of a goroutine. After an error nc is closed.
func (s *Secure) HandshakeOn(nc net.Conn, peer, name string, timeout time.Duration) (net.Conn, error) {
	t := tls.Client(nc, s.out.Config(peer, name, s.indicate))
	if err := shake(t, timeout); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func shake(t *tls.Conn, timeout time.Duration) error {
	if timeout > 0 {
		t.SetDeadline(time.Now().Add(timeout))
	}
	err := t.Handshake()
	t.SetDeadline(time.Time{})
	return err
}

// HandshakeFault returns what a log says of an error of Handshake; late that its time was
// over.
func HandshakeFault(err error) (why string, late bool) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", true
	case errors.As(err, new(ourtls.Unaccepted)):
		return err.Error(), false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return "peer closed connection in SSL handshake", false
	}
	return "SSL handshake failed (" + err.Error() + ")", false
}

// Sealed is TLS above a connection that a loop calls, and the only way to its bytes. One
// goroutine may read while another writes.
type Sealed struct {
	tls     *tls.Conn
	carrier *eventloop.Carrier
	duplex  eventloop.Duplex
	drained bool // the last Read has found nothing
	owed    int  // bytes of the next TryWrite that are encrypted already
}

// Read reads what TLS has decrypted: unix.EAGAIN if that is nothing, io.EOF at the end.
func (s *Sealed) Read(p []byte) (int, error) {
	n, err := s.duplex.Receive(p)
	s.drained = err == unix.EAGAIN
	return n, err
}

// Drained reports that Read would find nothing unless the connection has become readable
// since. A reader that waits asks, because TLS may hold what the socket has given.
func (s *Sealed) Drained() bool { return s.drained }

// Quiet reports that the upstream has sent no byte and has not left. What TLS itself sends,
// such as tickets of sessions, is taken.
func (s *Sealed) Quiet() bool {
	var one [1]byte
	n, err := s.Read(one[:])
	return n == 0 && err == unix.EAGAIN
}

// TryWrite encrypts p and sends it as far as there is room. It returns unix.EAGAIN, and
// counts no byte, until all of p is sent: the caller calls again with the same p.
func (s *Sealed) TryWrite(p []byte) (int, error) {
	n, err := s.duplex.Send(p[s.owed:])
	s.owed += n
	if err != nil {
		return 0, err
	}
	n, s.owed = s.owed, 0
	return n, nil
}

// AdoptWriter implements Sink.
func (s *Sealed) AdoptWriter(h eventloop.Handler) { s.duplex.AdoptWriter(h) }

// AwaitRoom implements Sink.
func (s *Sealed) AwaitRoom(timeout time.Duration) bool { return s.duplex.AwaitRoom(timeout) }

// RoomExpired implements Sink.
func (s *Sealed) RoomExpired() bool { return s.duplex.RoomExpired() }

// Close ends TLS and the connection.
func (s *Sealed) Close() error { return s.tls.Close() }

// Stream returns the connection as a tunnel takes it, which owns it from then on.
func (s *Sealed) Stream() (net.Conn, error) { return s.tls, s.carrier.Direct() }
