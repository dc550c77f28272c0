package http1

import "time"

// Drain implements proxy.LiveConn. An idle connection waits at most for last until one more
// request comes. A connection with a request notices that the Engine drains when its
// response begins, or when it waits again.
func (c *conn) Drain(last time.Duration) {
	if last > 0 {
		c.wire.hurry(&c.state, last)
		return
	}
	if c.state.CompareAndSwap(stateIdle, stateClosed) {
		c.wire.cut()
	}
}

// Waits implements proxy.LiveConn. Without a loop, since is zero.
func (c *conn) Waits() (since time.Time, idle bool) {
	if c.state.Load() != stateIdle {
		return since, false
	}
	return c.wire.Idled(), true
}

// Asked implements proxy.LiveConn. Without a loop it is always false.
func (c *conn) Asked() bool { return c.wire.Pending() }

// Tunnels implements proxy.LiveConn.
func (c *conn) Tunnels() bool { return c.onCut.Load() != nil }
