package http1

import (
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// Ready implements eventloop.Handler: there are bytes to read, or the wait for them was too
// long. An idle connection waits for a request, a suspended exchange for its body, and a
// connection that drops bytes for more of them.
func (c *conn) Ready(t *eventloop.Turn) {
	if c.awaitsBody.Load() && c.awaitsBody.Swap(false) {
		c.Left(t)
		return
	}
	c.wire.Enter(t)
	if !c.tookTurn() && c.wire.expired(c) {
		c.state.CompareAndSwap(stateIdle, stateClosed)
	}
	c.drive()
}

// Suspends implements proxy.Scheduler.
func (c *conn) Suspends() bool { return c.wire.suspends() }

// Loop implements proxy.Scheduler.
func (c *conn) Loop() *eventloop.Loop { return c.wire.Loop() }

// Detach implements proxy.Scheduler.
func (c *conn) Detach() { c.wire.Detach() }

// Overran implements proxy.Scheduler.
func (c *conn) Overran() bool { return c.wire.Overran() }

// Resume goes on with a suspended exchange; see proxy.Scheduler.
func (c *conn) Resume(t *eventloop.Turn) {
	if c.after != duplex { // then the tunnel's handlers may be using the wire
		c.wire.Enter(t)
	}
	c.drive()
}

// Watch implements proxy.Scheduler. Without a loop nobody notices that the client leaves.
func (c *conn) Watch(w *proxy.Waiting) bool {
	if !c.wire.suspends() {
		return false
	}
	c.watcher.Store(w)
	if w == nil {
		return true
	}
	c.wire.Watch()
	if c.wire.client().Gone() { // the loop may have called Left before watcher was set
		w.Waker().Wake()
	}
	return true
}

// Left implements eventloop.Watcher: the client has left while an exchange works or is
// parked. Ready calls it, too, to wake a parked exchange that waits for its body.
func (c *conn) Left(t *eventloop.Turn) {
	w := c.watcher.Load()
	if w == nil {
		return
	}
	if k := w.Waker(); c.watcher.Load() == w { // otherwise k may be of another connection's request
		k.WakeIn(t)
	}
}

// drive serves requests until the connection waits or has ended.
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
	c.inTurn = 0
	waits = c.serve()
}

// tookTurn reports whether the loop calls c because c has given up its turn.
func (c *conn) tookTurn() bool {
	if !c.putOff {
		return false
	}
	c.putOff = false
	c.state.CompareAndSwap(stateActive, stateIdle)
	return true
}

// Now implements proxy.Scheduler.
func (c *conn) Now() time.Time {
	if t := c.wire.Turn(); t != nil {
		return t.Now()
	}
	return time.Now()
}
