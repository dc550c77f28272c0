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
)

// conn is a connection to a peer. Whoever has it reads and writes it: the pass that it is
// for, the loop that waits for it, or the loop's goroutine that reads an answer ahead of
// the client. The state says who.
//
//	state     who has it                              ends with
//	busy      the pass                                await, rest, produce, close
//	waiting   the loop, for the pass                  Ready: busy, and the pass is woken
//	kept      the loop, in the list of its lane       claim: busy; Ready: closed
//	reading   the loop, for a pass that streams       Ready: producing
//	producing a loop's goroutine                      reading, full, busy at the end
//	full      nobody: the client has to catch up      resume: reading
//	dropped   whoever has it still, who closes it     -
type conn struct {
	peer     *peer
	lane     *lane
	looped   *eventloop.Conn // nil: blocking serves a goroutine
	blocking net.Conn
	born     time.Time
	requests int  // that were sent on it
	again    bool // the loop has it though there was something to read
	closed   bool
	timer    *time.Timer // ends a kept connection of a goroutine

	mu    sync.Mutex
	state connState
	waker proxy.Waker // of the pass
	pass  *pass       // that streams
}

type connState uint8

const (
	busy connState = iota
	waiting
	kept
	reading
	producing
	full
	dropped
)

// leadsTo reports whether c is a connection to p. Peers that requests have named are alike
// where name and address are.
func (c *conn) leadsTo(p *peer) bool {
	return c.peer == p || c.lane.group.named && c.peer.addr == p.addr && c.peer.name == p.name
}

// Ready is eventloop.Handler's.
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
		c.lane.evict(c)
		c.close()
	case dropped:
		c.close()
	}
}

// await leaves c to its loop until there is something to read, or room where room is set,
// or timeout has passed. It is false, and the caller goes on, when that is so already.
func (c *conn) await(waker proxy.Waker, room bool, timeout time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.waker, c.again = waiting, waker, false
	given := false
	if room {
		given = c.looped.IdleBoth(timeout)
	} else {
		given = c.looped.Idle(timeout)
	}
	if !given {
		c.state = busy
	}
	return given
}

// awaits reports that c is left to its loop still.
func (c *conn) awaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == waiting
}

// rest leaves c to its loop while it is kept. It is false when the peer has ended it. The
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
	c.state, c.waker, c.pass = kept, proxy.Waker{}, nil
	if c.looped.Idle(timeout) {
		return true
	}
	c.state = busy
	return false
}

// claim takes a kept connection back. It is false when it has ended: its loop closes it.
// The lane's lock is held.
func (c *conn) claim() bool {
	if c.looped == nil {
		c.timer.Stop() // too late: evict does not find it
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

// drop closes c, whoever has it.
func (c *conn) drop() {
	c.mu.Lock()
	mine := c.state == busy || c.state == full
	switch c.state {
	case waiting, reading:
		mine = c.looped.Take()
	}
	c.state = dropped
	c.mu.Unlock()
	if mine {
		c.close()
	}
}

// close closes c, which the caller has.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.looped == nil {
		c.blocking.Close()
		return
	}
	c.looped.Close()
}

// alive looks whether the peer has ended a kept connection that nobody was told of yet.
func (c *conn) alive() bool {
	var one [1]byte
	var err error
	if c.looped != nil {
		_, err = c.looped.Peek(&one)
	} else {
		err = peek(c.blocking, one[:])
	}
	return err == unix.EAGAIN
}

// peek looks at what a socket has to read, without waiting: unix.EAGAIN where that is nothing.
func peek(nc net.Conn, p []byte) error {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if failed := raw.Control(func(fd uintptr) { _, _, err = unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT) }); failed != nil {
		return failed
	}
	return err
}

// read reads what is there from a loop's connection: unix.EAGAIN where the caller has to
// await more, io.EOF at the end.
func (c *conn) read(p []byte) (int, error) {
	if !c.looped.Readable() {
		return 0, unix.EAGAIN
	}
	n, err := c.looped.TryRead(p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// write writes what there is room for: unix.EAGAIN where the caller has to await more.
func (c *conn) write(p []byte, timeout time.Duration) (int, error) {
	if c.looped == nil {
		var deadline time.Time // none, in place of the one that the request before has set
		if timeout > 0 {
			deadline = time.Now().Add(timeout)
		}
		c.blocking.SetWriteDeadline(deadline)
		return c.blocking.Write(p)
	}
	n, err := c.looped.TryWrite(p)
	return max(n, 0), err
}

// expired reports that the timeout of the last wait has passed.
func (c *conn) expired() bool { return c.looped != nil && !c.again && c.looped.Expired() }

// dialBlocking connects on the caller's goroutine.
func (c *conn) dialBlocking(timeout time.Duration) (err error) {
	network, addr := "tcp", c.peer.name
	if c.peer.addr.path != "" {
		network, addr = "unix", c.peer.addr.path
	}
	c.blocking, err = net.DialTimeout(network, addr, timeout)
	return err
}

// isTimeout reports an error that says that a deadline has passed. EAGAIN says of itself
// that it is one.
func isTimeout(err error) bool { return !errors.Is(err, unix.EAGAIN) && os.IsTimeout(err) }
