package http1

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// sealed is the wire of TLS over a socket that a loop calls. When the loop calls an idle
// connection, sealed tries reads that do not wait.
type sealed struct {
	looped
	tls     *tls.Conn
	carrier *eventloop.Carrier
	ends    time.Time // when the wait for a request ends; zero: there is no wait
}

// Read reads what TLS has decrypted.
func (s *sealed) Read(p []byte) (int, error) { return s.tls.Read(p) }

// Write encrypts p. eventloop.Carrier says when p is sent.
func (s *sealed) Write(p []byte) (int, error) { return s.tls.Write(p) }

// Close ends TLS and the connection.
func (s *sealed) Close() error { return s.tls.Close() }

// await implements waiter. Whether the socket is readable does not matter: TLS may hold
// bytes that it has decrypted, and a part of a record yields none. The wait ends timeout
// after it began, even if parts of a record come, which crypto/tls keeps.
func (s *sealed) await(c *conn, timeout time.Duration) progress {
	if s.ends.IsZero() {
		s.ends = c.Now().Add(timeout)
	}
	for {
		c.takeRead()
		n, err := s.readNow(c.buf, nil, c.sendTimeout())
		if n > 0 {
			c.w = n
			return arrived
		}
		c.releaseRead()
		if err != eventloop.ErrNothing {
			return over
		}
		left := min(s.ends.Sub(c.Now()), timeout)
		if left <= 0 {
			return over
		}
		c.releaseExchange()
		if c.e.Idle(s.Conn, left) {
			return waiting
		}
	}
}

func (s *sealed) readNow(p, _ []byte, timeout time.Duration) (int, error) {
	s.carrier.Try(true)
	n, err := s.tls.Read(p)
	s.carrier.Try(false)
	if err == eventloop.ErrNothing {
		if failed := s.flush(timeout); failed != nil {
			err = failed
		}
	}
	return n, err
}

func (s *sealed) begin(state *atomic.Int32, draining bool) bool {
	s.ends = time.Time{}
	return s.looped.begin(state, draining)
}

// boundReads bounds each read as a whole: the timeout does not begin anew with a part of a
// record, of which the caller sees no byte.
func (s *sealed) boundReads(timeout time.Duration) { s.boundReadsBy(time.Now().Add(timeout)) }

func (s *sealed) send(queued, p []byte, timeout time.Duration, last bool) (n int64, err error) {
	s.SetWriteTimeout(timeout)
	for _, b := range [...][]byte{queued, p} {
		if len(b) == 0 || err != nil {
			continue
		}
		var m int
		m, err = s.tls.Write(b)
		n += int64(m)
	}
	if err == nil && last {
		s.notifyClose()
	}
	if err == nil {
		err = s.carrier.Flush()
	}
	return n, err
}

// notifyClose writes close_notify after the last response. crypto/tls then sets a write
// deadline that has passed, so that nothing more is written; notifyClose removes it, so
// that the gathered bytes are sent.
func (s *sealed) notifyClose() {
	s.tls.CloseWrite()
	s.SetWriteDeadline(time.Time{})
}

func (s *sealed) endWriting(timeout time.Duration) error {
	if err := s.tls.CloseWrite(); err != nil {
		return err
	}
	return s.flush(timeout)
}

// flush sends the records that TLS itself has written.
func (s *sealed) flush(timeout time.Duration) error {
	if !s.carrier.Gathered() {
		return nil
	}
	s.SetWriteTimeout(timeout)
	return s.carrier.Flush()
}

func (s *sealed) takesFiles() bool { return false }

func (s *sealed) tunnel() error {
	if err := s.carrier.Direct(); err != nil {
		return err
	}
	return s.looped.tunnel()
}

func (s *sealed) duplex() eventloop.Duplex { return eventloop.DuplexOf(s.tls) }

// unread returns false: what the records hold is unknown.
func (s *sealed) unread(*[1]byte) bool { return false }
