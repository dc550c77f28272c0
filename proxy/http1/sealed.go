package http1

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// sealed is TLS over a socket that a loop calls. A connection that idles is tried
// with reads that do not wait.
type sealed struct {
	looped
	tls     *tls.Conn
	carrier *eventloop.Carrier
	ends    time.Time // of the wait for a request; zero outside
}

// Read reads what TLS opens.
func (s *sealed) Read(p []byte) (int, error) { return s.tls.Read(p) }

// Write seals p; see eventloop.Carrier for when it is sent.
func (s *sealed) Write(p []byte) (int, error) { return s.tls.Write(p) }

// Close ends TLS and the connection.
func (s *sealed) Close() error { return s.tls.Close() }

// await does what looped's does. TLS may hold something to read while the socket is
// not readable, and nothing while it is. A part of a record, which crypto/tls keeps,
// moves no deadline.
func (s *sealed) await(c *conn, timeout time.Duration) (waits, more bool) {
	if s.ends.IsZero() {
		s.ends = c.Now().Add(timeout)
	}
	for {
		c.takeRead()
		n, err := s.readNow(c.buf, c.sendTimeout())
		if n > 0 {
			c.w = n
			return false, true
		}
		c.releaseRead()
		if err != eventloop.ErrNothing {
			return false, false
		}
		left := min(s.ends.Sub(c.Now()), timeout)
		if left <= 0 {
			return false, false
		}
		c.releaseExchange()
		if c.e.Idle(s.Conn, left) {
			return true, false
		}
	}
}

func (s *sealed) readNow(p []byte, timeout time.Duration) (int, error) {
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

// boundReads bounds a read as a whole: the part of a record, of which nobody sees
// a byte, does not begin it anew.
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

// notifyClose writes close_notify behind the last response. crypto/tls lets its
// deadline pass at once, so that nothing more is written: what was gathered is.
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

// flush sends what TLS itself has to say.
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

// unread returns false: what the records hold is not known.
func (s *sealed) unread(*[1]byte) bool { return false }
