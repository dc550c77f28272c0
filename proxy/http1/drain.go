package http1

import "time"

// Drain is proxy.LiveConn's. A connection that waits goes on waiting, but not
// for long; one that works learns of it when its response begins, or when it
// waits again.
func (c *conn) Drain(last time.Duration) {
	switch {
	case last <= 0:
		if c.state.CompareAndSwap(stateIdle, stateClosed) {
			c.cut()
		}
	case c.sock != nil:
		c.sock.Hurry(last)
	default:
		c.hurry.Lock()
		defer c.hurry.Unlock()
		if c.state.Load() == stateIdle {
			c.nc.SetReadDeadline(time.Now().Add(last))
		}
	}
}

// Waits is proxy.LiveConn's. Outside a loop it knows no time.
func (c *conn) Waits() (since time.Time, idle bool) {
	if c.state.Load() != stateIdle {
		return since, false
	}
	if c.sock != nil {
		since = c.sock.Idled()
	}
	return since, true
}

// Asked is proxy.LiveConn's. Outside a loop it is not known.
func (c *conn) Asked() bool { return c.sock != nil && c.sock.Pending() }

// patience returns how long the connection may wait for a request where it may
// wait for timeout (0: for ever) otherwise; negative: not at all.
func (c *conn) patience(timeout time.Duration) time.Duration {
	if !c.e.Draining() {
		return timeout
	}
	last := c.e.LastWait()
	switch {
	case last <= 0:
		return -1
	case timeout == 0:
		return last
	}
	return min(timeout, last)
}

// idle leaves the connection to its loop until a request comes, or the timeout;
// it may be another goroutine's as soon as that is so.
func (c *conn) idle(timeout time.Duration) bool {
	e, sock := c.e, c.sock
	if !sock.Idle(timeout) {
		return false
	}
	if e.Draining() { // it may have come too late for timeout, and too early for Drain
		sock.Hurry(e.LastWait())
	}
	return true
}

// idleDeadline bounds the wait for a request where no loop does the waiting.
func (c *conn) idleDeadline(timeout time.Duration) {
	c.readDeadline(timeout)
	if last := c.patience(timeout); last != timeout {
		c.readDeadline(last)
	}
}

// activate begins a request; false when the connection was closed. Drain's
// deadline, which was for the wait, is lifted.
func (c *conn) activate() bool {
	if c.sock != nil {
		return c.state.CompareAndSwap(stateIdle, stateActive)
	}
	c.hurry.Lock()
	defer c.hurry.Unlock()
	if c.e.Draining() {
		c.armed[0] = time.Time{}
		c.nc.SetReadDeadline(time.Time{})
	}
	return c.state.CompareAndSwap(stateIdle, stateActive)
}

// arrived reports, at the end of a wait, that a request has come all the same.
func (c *conn) arrived() bool {
	if n, err := c.sock.Peek(&c.one); n == 0 || err != nil {
		return false
	}
	c.sock.Missed()
	return true
}
