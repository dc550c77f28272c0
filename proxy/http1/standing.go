package http1

import (
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// standing is the wire of a connection that one goroutine serves: a socket, or TLS.
type standing struct {
	net.Conn
	raw      syscall.RawConn       // nil for TLS, which is not readable whenever its socket is
	peer     peer                  // the client, seen through raw
	c        *conn                 // the connection that readReady reads for
	tryRead  func(fd uintptr) bool // readReady, bound once
	readErr  error                 // the error of readReady
	waits    sync.Mutex            // orders hurry and begin
	armed    [2]time.Time          // the read deadline and the write deadline that are set
	vector   [2][]byte             // the buffers that vectored writes
	vectored net.Buffers           // the rest of vector
}

func newStanding(nc net.Conn) *standing {
	s := &standing{Conn: nc}
	if d, ok := nc.(syscall.Conn); ok {
		s.raw, _ = d.SyscallConn()
		s.peer.raw = s.raw
	}
	return s
}

func (s *standing) send(queued, p []byte, timeout time.Duration, _ bool) (int64, error) {
	s.boundWrites(timeout)
	if len(p) == 0 {
		n, err := s.Write(queued)
		return int64(n), err
	}
	s.vector = [2][]byte{queued, p}
	s.vectored = s.vector[:]
	n, err := s.vectored.WriteTo(s.Conn)
	s.vector = [2][]byte{}
	return n, err
}

func (s *standing) endWriting(time.Duration) error {
	t, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return syscall.ENOTSUP
	}
	return t.CloseWrite()
}

func (s *standing) boundReads(timeout time.Duration) {
	if want, move := s.arm(0, timeout); move {
		s.SetReadDeadline(want)
	}
}

func (s *standing) boundReadsBy(at time.Time) {
	if s.armed[0] != at {
		s.armed[0] = at
		s.SetReadDeadline(at)
	}
}

// boundWrites sets how long each later write may take.
func (s *standing) boundWrites(timeout time.Duration) {
	if want, move := s.arm(1, timeout); move {
		s.SetWriteDeadline(want)
	}
}

// slack divides a timeout: a deadline that is too early by at most this part of the
// timeout stays as it is. Setting a timer for each read costs more than the rest of the
// read's bookkeeping.
const slack = 8

// arm returns the deadline after timeout, and whether it has to be set.
func (s *standing) arm(i int, timeout time.Duration) (time.Time, bool) {
	want := time.Now().Add(timeout)
	early := want.Sub(s.armed[i])
	if early >= 0 && early < timeout/slack {
		return want, false
	}
	s.armed[i] = want
	return want, true
}

// readNow waits. Nobody calls it, as without a loop no exchange is suspended.
func (s *standing) readNow(p, _ []byte, _ time.Duration) (int, error) { return s.Read(p) }

func (s *standing) takesFiles() bool { return s.raw != nil }

func (s *standing) kernelWrite(call func(fd uintptr) bool, timeout time.Duration) error {
	s.boundWrites(timeout)
	return s.raw.Write(call)
}

func (s *standing) tunnel() error {
	s.armed = [2]time.Time{}
	return s.SetDeadline(time.Time{})
}

// meanwhile does nothing: without a loop an exchange has no events.
func (s *standing) meanwhile(*conn, func()) {}

func (s *standing) duplex() eventloop.Duplex { return nil }

func (s *standing) client() proxy.Client {
	if s.raw == nil {
		return nil
	}
	return &s.peer
}

func (s *standing) unread(*[1]byte) bool {
	if s.raw == nil {
		return false
	}
	n, err := peek(s.raw)
	return n > 0 && err == nil
}

func (s *standing) resetOnClose() bool {
	nc := s.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	t, ok := nc.(*net.TCPConn)
	return ok && t.SetLinger(0) == nil
}

func (s *standing) cut() { s.Close() }

func (s *standing) start(c *conn) {
	s.c, s.tryRead = c, s.readReady
	c.drive()
}

func (s *standing) await(c *conn, timeout time.Duration) progress {
	if s.raw == nil {
		return s.awaitByte(c, timeout)
	}
	s.boundWait(c, timeout)
	s.readErr = nil
	if err := s.raw.Read(s.tryRead); err != nil || s.readErr != nil || c.w == 0 {
		return over
	}
	return arrived
}

// boundWait bounds the wait for a request by timeout; by less if the Engine drains.
func (s *standing) boundWait(c *conn, timeout time.Duration) {
	s.boundReads(timeout)
	if last := c.e.Patience(timeout); last != timeout {
		s.boundReads(last)
	}
}

// awaitByte is await for TLS: it reads one byte.
func (s *standing) awaitByte(c *conn, timeout time.Duration) progress {
	c.releaseExchange()
	s.boundWait(c, timeout)
	n, err := s.Read(c.one[:])
	if n == 0 || err != nil && err != io.EOF {
		return over
	}
	c.takeRead()
	c.buf[0], c.w = c.one[0], 1
	return arrived
}

// readReady reads the first bytes of a request. It returns false if none have come; then it
// has given its buffer back.
func (s *standing) readReady(fd uintptr) bool {
	c := s.c
	c.takeRead()
	n, err := ignoringEINTR(int(fd), c.buf)
	if err == syscall.EAGAIN {
		c.releaseRead()
		c.releaseExchange()
		return false
	}
	if n > 0 {
		c.w = n
	} else if s.readErr = err; err == nil {
		s.readErr = io.EOF
	}
	return true
}

// ignoringEINTR reads from fd, again after each EINTR.
func ignoringEINTR(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// expired returns false: await itself returns after the timeout.
func (s *standing) expired(*conn) bool { return false }

// begin removes the deadline that hurry has set, which is for the wait alone.
func (s *standing) begin(state *atomic.Int32, draining bool) bool {
	s.waits.Lock()
	defer s.waits.Unlock()
	if draining {
		s.armed[0] = time.Time{}
		s.SetReadDeadline(time.Time{})
	}
	return state.CompareAndSwap(stateIdle, stateActive)
}

func (s *standing) hurry(state *atomic.Int32, last time.Duration) {
	s.waits.Lock()
	defer s.waits.Unlock()
	if state.Load() == stateIdle {
		s.SetReadDeadline(time.Now().Add(last))
	}
}

// Idled returns the zero time: when the wait began is unknown.
func (s *standing) Idled() time.Time { return time.Time{} }

// Pending returns false: whether bytes have come is unknown.
func (s *standing) Pending() bool { return false }

func (s *standing) suspends() bool { return false }

// Loop returns nil: a goroutine serves the connection.
func (s *standing) Loop() *eventloop.Loop { return nil }

// Detach does nothing: the goroutine leads no loop.
func (s *standing) Detach() {}

// Watch does nothing: without a loop nobody notices that the client leaves.
func (s *standing) Watch() {}

// awaitBody returns false: TryReadBody has waited.
func (s *standing) awaitBody(time.Duration) bool { return false }

// rest returns false: reads have waited.
func (s *standing) rest(time.Duration) bool { return false }

// again does nothing. Nobody calls it: there is no loop to read in.
func (s *standing) again() {}

// Take returns false: no loop owns the reading side.
func (s *standing) Take() bool { return false }

// Overran returns false: there is no loop to block.
func (s *standing) Overran() bool { return false }

// Enter does nothing: a goroutine has no turns.
func (s *standing) Enter(*eventloop.Turn) {}

// Turn returns nil: a goroutine has no turns.
func (s *standing) Turn() *eventloop.Turn { return nil }

func (s *standing) yield() {}

// Rest does nothing: yield has taken no place for labor.
func (s *standing) Rest() {}

// peer is the client of a connection that one goroutine serves. It notices only that the
// client has reset the connection.
type peer struct{ raw syscall.RawConn }

// Gone implements proxy.Client.
func (p *peer) Gone() bool { return p.Lost() }

// Lost implements proxy.Client.
func (p *peer) Lost() bool {
	_, err := peek(p.raw)
	return err != nil && err != syscall.EAGAIN && err != syscall.EINTR
}

// Silent implements proxy.Client.
func (p *peer) Silent() bool { return false }

// peek copies the next byte without consuming it and without waiting.
func peek(raw syscall.RawConn) (n int, err error) {
	var one [1]byte
	ctl := raw.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n, cmp.Or(ctl, err)
}
