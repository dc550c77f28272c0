package http1

import (
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// startEvents has the loop call c when its first request is there. A connection
// that the loop has called before, for the handshake, is c's to go on with at once.
func (c *conn) startEvents() {
	if !c.e.Register(c.info, c) {
		c.nc.Close()
		return
	}
	c.core = c.e.Defaults(c.info)
	switch {
	case c.core != nil && c.sock.Adopt(c):
		c.drive()
	case c.core == nil || !c.await():
		c.end(nil)
	}
}

// await gives the connection to its loop until the first request comes.
func (c *conn) await() bool {
	timeout := c.patience(c.core.HeaderTimeout)
	return timeout >= 0 && c.sock.Start(c, timeout) == nil
}

// Ready is eventloop.Handler's: the connection idles and has something to read,
// or has idled too long.
func (c *conn) Ready(*eventloop.Turn) {
	if c.sock.Expired() && !c.arrived() {
		c.state.CompareAndSwap(stateIdle, stateClosed)
	}
	c.drive()
}

// Suspends is proxy.Scheduler's: a loop calls the connection again.
func (c *conn) Suspends() bool { return c.sock != nil }

// Detach is proxy.Scheduler's.
func (c *conn) Detach() {
	if c.sock != nil {
		c.sock.Detach()
	}
}

// Resume goes on with a suspended exchange; see proxy.Scheduler.
func (c *conn) Resume(t *eventloop.Turn) {
	c.sock.Enter(t)
	c.drive()
}

// Watch is proxy.Scheduler's. Without a loop nothing is learned of the client.
func (c *conn) Watch(w *proxy.Waiting) bool {
	if c.sock == nil {
		return false
	}
	c.watcher.Store(w)
	c.sock.Watch()
	if w != nil && c.sock.Gone() { // Left may have come too early
		w.Waker().Wake()
	}
	return true
}

// Left is eventloop.Watcher's: the client has left the exchange that c works on or
// that is parked.
func (c *conn) Left(t *eventloop.Turn) {
	w := c.watcher.Load()
	if w == nil {
		return
	}
	if k := w.Waker(); c.watcher.Load() == w { // else k may be another connection's request
		k.WakeIn(t)
	}
}

// drive serves until the connection waits for its loop or ends.
func (c *conn) drive() {
	waits := false
	defer func() {
		if !waits {
			c.end(recover())
		}
	}()
	if !c.parked && c.state.Load() == stateClosed {
		return
	}
	waits = c.serve()
}

// awaitEvent reads what is there, or leaves the connection to its loop.
func (c *conn) awaitEvent(timeout time.Duration) (waits, more bool) {
	if c.carrier != nil {
		return c.awaitSealed(timeout)
	}
	for {
		if c.sock.Readable() {
			c.takeRead()
			n, err := c.sock.TryRead(c.buf)
			if n > 0 {
				c.w = n
				return false, true
			}
			c.releaseRead()
			if err != unix.EAGAIN {
				return false, false
			}
		}
		c.releaseExchange()
		if c.idle(timeout) {
			return true, false
		}
	}
}

// now is the time, as old as the loop's turn where c runs in one.
func (c *conn) now() time.Time {
	if c.sock != nil {
		if t := c.sock.Turn(); t != nil {
			return t.Now()
		}
	}
	return time.Now()
}
