package proxypass

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/upstream"
)

// conn is a connection to a peer. It has one owner at a time, who reads and writes it: its
// pass, the loop that waits for it, or a goroutine of the loop that reads an answer ahead of
// the client. The state says which.
//
//	state     owner                                   ends with
//	busy      the pass                                shake, await, rest, produce, close
//	shaking   a goroutine that does TLS's handshake   busy, and the pass is woken
//	waiting   the loop, for the pass                  Ready: busy, and the pass is woken
//	kept      the loop, in the list of its lane       claim: busy; Ready: closed
//	reading   the loop, for a pass that streams       Ready: producing
//	producing a loop's goroutine, or one of its own   reading, full, paced; at the end kept, closed, or busy
//	full      nobody: the client has to catch up      resume: reading
//	paced     nobody: proxy_limit_rate has it wait    unpace: reading
//	dropped   whoever has it still, who closes it     -
//
// A connection without a loop goes on to producing where others go on to reading.
type conn struct {
	peer     *peer
	lane     *lane
	looped   *eventloop.Conn // nil: blocking is used
	blocking net.Conn
	sealed   *upstream.Sealed // TLS above looped; nil: none
	shaken   bool             // the handshake has ended
	broken   error            // why it has failed; nil: it has not
	way      way
	born     time.Time
	requests int  // the number of requests that were sent on it
	again    bool // the loop got it although there was something to read
	closed   bool
	timer    *time.Timer   // closes a kept connection of a goroutine
	restTime time.Duration // how long it is kept

	// The place in the list of the lane, whose lock guards it.
	listed       bool
	older, newer *conn

	mu    sync.Mutex
	state connState
	waker proxy.Waker // of the pass
	pass  *pass       // that streams, until the end of its answer
}

// way has the settings in which connections to a peer may differ. A request can use only a kept
// connection of its own way.
type way struct {
	name string // the name for the server's certificate; "": without TLS
	from string // the local address; "": any
}

type connState uint8

const (
	busy connState = iota
	shaking
	waiting
	kept
	reading
	producing
	full
	paced
	dropped
)

// leadsTo reports whether c is a connection to p. Peers that requests have named are the same
// if their names and addresses are.
func (c *conn) leadsTo(p *peer) bool {
	return c.peer == p || c.lane.group.named && c.peer.addr == p.addr && c.peer.name == p.name
}

// Ready implements eventloop.Handler.
func (c *conn) Ready(t *eventloop.Turn) {
	c.mu.Lock()
	state := c.state
	switch state {
	case waiting:
		c.state = busy
	case reading:
		c.state = producing
	}
	waker, p := c.waker, c.pass
	c.mu.Unlock()
	switch state {
	case waiting:
		waker.WakeIn(t)
	case reading:
		p.produce(t)
	case kept:
		if c.sealed != nil && c.restsOn() {
			return
		}
		c.lane.evict(c)
		c.close()
	case dropped:
		c.close()
	}
}

// await gives c to its loop until there is something to read, with room also until there is
// room, or until timeout has passed. It returns false if that is already the case: the caller
// goes on.
func (c *conn) await(waker proxy.Waker, room bool, timeout time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.waker, c.again = waiting, waker, false
	given := false
	if c.sealed != nil && !c.sealed.Drained() {
		// TLS holds bytes, which the loop cannot see.
	} else if room {
		given = c.looped.IdleBoth(timeout)
	} else {
		given = c.looped.Idle(timeout)
	}
	if !given {
		c.state = busy
	}
	return given
}

// awaits reports whether the loop still waits for c, or its handshake goes on.
func (c *conn) awaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == waiting || c.state == shaking
}

// rest gives c to its loop while it is kept. It returns false if the peer has closed it. The
// lane's lock is held.
func (c *conn) rest(timeout time.Duration) bool {
	if c.looped == nil {
		c.timer = time.AfterFunc(timeout, func() {
			if c.lane.evict(c) {
				c.close()
			}
		})
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sealed != nil && !c.sealed.Quiet() {
		return false
	}
	c.state, c.waker, c.pass, c.restTime = kept, proxy.Waker{}, nil, timeout
	if c.looped.Idle(timeout) || c.silent() && c.looped.Idle(timeout) {
		return true
	}
	c.state = busy
	return false
}

// silent reports whether there is nothing to read although the poller has reported something:
// that was the end of the answer, which was read.
func (c *conn) silent() bool {
	var b [1]byte
	c.looped.Forget()
	_, err := c.looped.Peek(&b)
	return err == unix.EAGAIN
}

// restsOn gives a kept connection to its loop again, if only messages of TLS have come. It
// returns false if the peer has closed it, or if its time is over.
func (c *conn) restsOn() bool {
	if c.looped.Expired() || !c.sealed.Quiet() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == kept && c.looped.Idle(c.restTime)
}

// claim takes a kept connection back from its loop. It returns false if it has ended: then its
// loop closes it. The lane's lock is held.
func (c *conn) claim() bool {
	if c.looped == nil {
		c.timer.Stop() // if it has fired already, evict does not find c
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looped.Take() {
		c.state = busy
		return true
	}
	c.state = dropped
	return false
}

// drop closes c, whoever has it, for its pass: p where that streams, else nil. It is false,
// and does nothing, where the answer of p has ended: c may be another's.
func (c *conn) drop(p *pass) bool {
	c.mu.Lock()
	if c.pass != p {
		c.mu.Unlock()
		return false
	}
	mine := c.state == busy || c.state == full || c.state == paced
	switch {
	case c.state == waiting || c.state == reading:
		mine = c.looped.Take()
	case c.state == shaking:
		c.looped.Cut()
	case c.state == producing && c.looped == nil:
		c.blocking.Close() // so that its goroutine does not wait
	}
	c.state = dropped
	c.mu.Unlock()
	if mine {
		c.close()
	}
	return true
}

// close closes c, which the caller owns.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.looped == nil {
		c.blocking.Close()
		return
	}
	if c.sealed != nil {
		c.sealed.Close()
		return
	}
	c.looped.Close()
}

// alive reports whether the peer has not closed a connection that was kept. The poller may not
// have reported a close yet.
func (c *conn) alive() bool {
	var one [1]byte
	var err error
	switch {
	case c.sealed != nil:
		return c.sealed.Quiet()
	case c.looped != nil:
		_, err = c.looped.Peek(&one)
	default:
		err = peek(c.blocking, one[:])
	}
	return err == unix.EAGAIN
}

// peek copies the first bytes that a socket has to read, without waiting. unix.EAGAIN: there
// are none.
func peek(nc net.Conn, p []byte) error {
	if over, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = over.NetConn()
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if failed := raw.Control(func(fd uintptr) { _, _, err = unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT) }); failed != nil {
		return failed
	}
	return err
}

// read reads what has come on a loop's connection. unix.EAGAIN: nothing has, and the caller
// awaits more; io.EOF: the end.
func (c *conn) read(p []byte) (int, error) {
	if c.sealed != nil {
		return c.sealed.Read(p)
	}
	if !c.looped.Readable() {
		return 0, unix.EAGAIN
	}
	n, err := c.looped.TryRead(p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// readWithin reads from a connection without a loop: unix.EAGAIN after timeout, 0 is for ever.
func (c *conn) readWithin(p []byte, timeout time.Duration) (int, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	c.blocking.SetReadDeadline(deadline)
	n, err := c.blocking.Read(p)
	if n == 0 && isTimeout(err) {
		return 0, unix.EAGAIN
	}
	return n, err
}

// readable reports whether read may find something, or the end.
func (c *conn) readable() bool {
	return c.looped != nil && (c.looped.Readable() || c.sealed != nil && !c.sealed.Drained())
}

// sink returns the sink of a body that is passed on while it comes.
func (c *conn) sink() upstream.Sink {
	if c.sealed != nil {
		return c.sealed
	}
	return c.looped
}

// write writes as many bytes as there is room for. unix.EAGAIN: the caller awaits room. Above
// TLS it returns 0 until all of p is written, and the caller goes on with the same p.
func (c *conn) write(p []byte, timeout time.Duration) (int, error) {
	if c.looped == nil {
		var deadline time.Time // zero: removes the one that the request before has set
		if timeout > 0 {
			deadline = time.Now().Add(timeout)
		}
		c.blocking.SetWriteDeadline(deadline)
		return c.blocking.Write(p)
	}
	if c.sealed != nil {
		return c.sealed.TryWrite(p)
	}
	n, err := c.looped.TryWrite(p)
	return max(n, 0), err
}

// expired reports whether the timeout of the last wait has passed.
func (c *conn) expired() bool { return c.looped != nil && !c.again && c.looped.Expired() }

// dialBlocking connects on the caller's goroutine.
func (c *conn) dialBlocking(timeout time.Duration, b *bindSettings) (err error) {
	network, addr := "tcp", c.peer.name
	if c.peer.addr.path != "" {
		network, addr = "unix", c.peer.addr.path
	}
	d := net.Dialer{Timeout: timeout}
	if b.special() {
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			if failed := raw.Control(func(fd uintptr) { err = b.prepare(int(fd), c.way.from, c.peer.sockaddr) }); failed != nil {
				return failed
			}
			return err
		}
	}
	c.blocking, err = d.Dial(network, addr)
	return err
}

// isTimeout reports whether err says that a deadline has passed. unix.EAGAIN is not such an
// error, although its Timeout returns true.
func isTimeout(err error) bool { return !errors.Is(err, unix.EAGAIN) && os.IsTimeout(err) }
