package http1

import "time"

// Drain implements proxy.LiveConn. A connection that waits goes on waiting, but not
// for long; one that works learns of it when its response begins, or when it
// waits again.
func (c *conn) Drain(last time.Duration) {
	if last > 0 {
		c.wire.hurry(&c.state, last)
		return
	}
	if c.state.CompareAndSwap(stateIdle, stateClosed) {
		c.wire.cut()
	}
}

// Waits implements proxy.LiveConn. Outside a loop it knows no time.
func (c *conn) Waits() (since time.Time, idle bool) {
	if c.state.Load() != stateIdle {
		return since, false
	}
	return c.wire.Idled(), true
}

// Asked implements proxy.LiveConn. Outside a loop it is not known.
func (c *conn) Asked() bool { return c.wire.Pending() }

// Tunnels implements proxy.LiveConn.
func (c *conn) Tunnels() bool { return c.onCut.Load() != nil }
