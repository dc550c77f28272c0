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

// Secure is how connections to upstreams are encrypted, and which certificates they trust.
// After Key it does not change.
type Secure struct {
	out      ourtls.Outbound
	indicate bool // send the server's name: SNI
}

// NewSecure returns a Secure that accepts any certificate. resumes lets connections resume
// sessions of earlier ones. indicate sends the upstream the name that is asked for (SNI).
func NewSecure(resumes, indicate bool) *Secure {
	return &Secure{out: ourtls.Outbound{Resumes: resumes}, indicate: indicate}
}

// Versions sets the versions of TLS, by nginx's names.
func (s *Secure) Versions(names []string) (err error) {
	s.out.MinVersion, s.out.MaxVersion, err = ourtls.VersionRange(names)
	return err
}

// Ciphers sets the ciphers for versions before TLS 1.3, from a list in OpenSSL's format.
// dropped are the ciphers of the list that Go does not have.
func (s *Secure) Ciphers(list string) (dropped []string, err error) {
	s.out.Ciphers, dropped, err = ourtls.CipherList(list)
	return dropped, err
}

// Verify makes connections verify the certificates of upstreams against the CAs of the file
// cas. At most depth CAs may stand between a certificate and the root. crl is a file of
// lists of revoked certificates, with one of each CA; "": none. Errors are one sentence.
func (s *Secure) Verify(h config.Host, cas, crl string, depth int) error {
	s.out.Servers = ourtls.NewVerifier(depth)
	if err := s.out.Servers.Trust(h, cas, false); err != nil || crl == "" {
		return err
	}
	return s.out.Servers.Revoke(h, crl)
}

// Identify sets the certificate for upstreams that ask for one; see LoadPair of package tls.
// passwords is a file, one of whose passwords may decrypt the key; "": none.
func (s *Secure) Identify(h config.Host, cert, key, passwords string) error {
	words, err := ourtls.ReadPasswords(h, passwords)
	if err != nil {
		return err
	}
	s.out.Certificate, err = ourtls.LoadPair(h, cert, key, words...)
	return err
}

// Key completes s. Two Secures with the same key do the same, and may use each other's
// connections and sessions.
func (s *Secure) Key() string {
	s.out.Prepare()
	key := s.out.Digest()
	if s.indicate {
		key += " indicated"
	}
	return key
}

// Handshake does the handshake on a connection that a loop calls. name is the server's name,
// peer its address. Handshake waits for the upstream on the caller's goroutine, which owns
// the connection and leads no loop, at most for timeout (0: no limit). After an error c is
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

// HandshakeFault returns the log's text for an error of Handshake. late says that the
// timeout has passed; then there is no text.
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

// Sealed is TLS over a connection that a loop calls. All reads and writes must go through
// it. One goroutine may read while another writes.
type Sealed struct {
	tls     *tls.Conn
	carrier *eventloop.Carrier
	duplex  eventloop.Duplex
	drained bool // the last Read has returned unix.EAGAIN
	owed    int  // bytes of the next TryWrite that are encrypted already
}

// Read reads decrypted bytes. The error is unix.EAGAIN if there are none now, io.EOF at the
// end.
func (s *Sealed) Read(p []byte) (int, error) {
	n, err := s.duplex.Receive(p)
	s.drained = err == unix.EAGAIN
	return n, err
}

// Drained reports whether Read has nothing to return until the connection becomes readable.
// A reader calls it before it waits, because TLS may hold bytes that the socket has given.
func (s *Sealed) Drained() bool { return s.drained }

// Quiet reports whether the upstream has neither sent a byte nor closed. Quiet reads the
// messages of TLS itself, such as session tickets.
func (s *Sealed) Quiet() bool {
	var one [1]byte
	n, err := s.Read(one[:])
	return n == 0 && err == unix.EAGAIN
}

// TryWrite encrypts p and sends it as far as there is room. Until all of p is sent it
// returns 0 and unix.EAGAIN, and the caller calls it again with the same p.
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

// Stream returns the connection for a tunnel, which owns it afterwards.
func (s *Sealed) Stream() (net.Conn, error) { return s.tls, s.carrier.Direct() }
