package http1

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// looped is the wire of a socket that a loop calls.
type looped struct{ *eventloop.Conn }

func (l looped) send(queued, p []byte, timeout time.Duration, _ bool) (int64, error) {
	l.SetWriteTimeout(timeout)
	n, err := l.WriteBoth(queued, p)
	return int64(n), err
}

func (l looped) endWriting(time.Duration) error { return l.CloseWrite() }

func (l looped) boundReads(timeout time.Duration) {
	l.SetReadDeadline(time.Time{})
	l.SetReadTimeout(timeout)
}

func (l looped) boundReadsBy(at time.Time) {
	l.SetReadTimeout(0)
	l.SetReadDeadline(at)
}

func (l looped) readNow(p, more []byte, _ time.Duration) (n int, err error) {
	if len(more) > 0 {
		n, err = l.ReceiveBoth(p, more)
	} else {
		n, err = l.Receive(p)
	}
	if err == unix.EAGAIN {
		err = eventloop.ErrNothing
	}
	return n, err
}

func (l looped) takesFiles() bool { return true }

func (l looped) kernelWrite(call func(fd uintptr) bool, timeout time.Duration) error {
	l.SetWriteTimeout(timeout)
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Write(call)
}

func (l looped) tunnel() error {
	l.SetReadTimeout(0)
	l.SetWriteTimeout(0)
	return l.SetDeadline(time.Time{})
}

func (l looped) duplex() eventloop.Duplex { return eventloop.DuplexOf(l.Conn) }

func (l looped) client() proxy.Client { return l.Conn }

func (l looped) unread(one *[1]byte) bool {
	n, err := l.Peek(one)
	return n > 0 && err == nil
}

func (l looped) resetOnClose() bool {
	l.ResetOnClose()
	return true
}

func (l looped) cut() { l.Cut() }

// start makes the loop call c when its first request has come. If the loop has called
// the connection before, for a PROXY header or a handshake, c goes on at once.
func (l looped) start(c *conn) {
	if l.Adopt(c) {
		c.drive()
		return
	}
	timeout := c.e.Patience(c.core.HeaderTimeout)
	if timeout < 0 || l.Start(c, timeout) != nil {
		c.end(nil)
	}
}

// await reads what has come. If nothing has, it gives the connection to its loop.
func (l looped) await(c *conn, timeout time.Duration) progress {
	for {
		if l.Readable() {
			c.takeRead()
			n, err := l.TryRead(c.buf)
			if n > 0 {
				c.w = n
				return arrived
			}
			c.releaseRead()
			if err != unix.EAGAIN {
				return over
			}
		}
		c.releaseExchange()
		if c.e.Idle(l.Conn, timeout) {
			return waiting
		}
	}
}

// expired returns false if a request has come in spite of the timeout.
func (l looped) expired(c *conn) bool {
	if !l.Expired() {
		return false
	}
	if n, err := l.Peek(&c.one); n == 0 || err != nil {
		return true
	}
	l.Missed()
	return false
}

func (l looped) begin(state *atomic.Int32, _ bool) bool {
	return state.CompareAndSwap(stateIdle, stateActive)
}

func (l looped) hurry(_ *atomic.Int32, last time.Duration) { l.Hurry(last) }

func (l looped) suspends() bool { return true }

// awaitBody does not end the turn that the caller may lead.
func (l looped) awaitBody(timeout time.Duration) bool {
	t := l.Turn()
	left := l.Idle(timeout)
	l.Enter(t)
	return left
}

func (l looped) rest(timeout time.Duration) bool { return l.Idle(timeout) }

func (l looped) again() {
	l.Enter(nil)
	l.Again()
}

func (l looped) yield() {
	l.Detach()
	l.Yield()
}

func (l looped) meanwhile(c *conn, f func()) {
	if f == nil {
		l.WaitRoomBy(nil)
		return
	}
	l.AdoptWriter(roomCaller{c.x.Waker()})
	l.WaitRoomBy(func() error { return l.awaitRoomWith(c, f) })
}

// roomCaller wakes an exchange that waits for room to write, and for other events.
type roomCaller struct{ waker proxy.Waker }

// Ready implements eventloop.Handler: there is room.
func (r roomCaller) Ready(t *eventloop.Turn) { r.waker.WakeIn(t) }

// awaitRoomWith waits for room to write, for at most send_timeout, and calls f for each
// event until then. Such an event may also be one for which the exchange waits after the
// write, so awaitRoomWith sends an event at its end.
func (l looped) awaitRoomWith(c *conn, f func()) error {
	timeout, began := c.sendTimeout(), time.Now()
	defer func() { c.x.Waker().Wake() }()
	for {
		f()
		left := time.Duration(0)
		if timeout > 0 {
			if left = timeout - time.Since(began); left <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		if !l.AwaitRoom(left) {
			return nil
		}
		c.x.Await()
	}
}
