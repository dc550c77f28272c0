package http1

import (
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// Ready implements eventloop.Handler: the connection idles and has something to read,
// or has idled too long; or so it is with the body that an exchange waits for.
func (c *conn) Ready(t *eventloop.Turn) {
	if c.awaitsBody.Load() && c.awaitsBody.Swap(false) {
		c.Left(t)
		return
	}
	c.wire.Enter(t)
	if c.wire.expired(c) {
		c.state.CompareAndSwap(stateIdle, stateClosed)
	}
	c.drive()
}

// Suspends implements proxy.Scheduler: a loop calls the connection again.
func (c *conn) Suspends() bool { return c.wire.suspends() }

// Loop implements proxy.Scheduler.
func (c *conn) Loop() *eventloop.Loop { return c.wire.Loop() }

// Detach implements proxy.Scheduler.
func (c *conn) Detach() { c.wire.Detach() }

// Overran implements proxy.Scheduler.
func (c *conn) Overran() bool { return c.wire.Overran() }

// Resume goes on with a suspended exchange; see proxy.Scheduler.
func (c *conn) Resume(t *eventloop.Turn) {
	if !c.duplex { // else others work on the wire, perhaps now
		c.wire.Enter(t)
	}
	c.drive()
}

// Watch implements proxy.Scheduler. Without a loop nothing is learned of the client.
func (c *conn) Watch(w *proxy.Waiting) bool {
	if !c.wire.suspends() {
		return false
	}
	c.watcher.Store(w)
	if w == nil {
		return true
	}
	c.wire.Watch()
	if c.wire.client().Gone() { // Left may have come too early
		w.Waker().Wake()
	}
	return true
}

// Left implements eventloop.Watcher: the client has left the exchange that c works on or
// that is parked. Ready calls it for what else such an exchange is to look at.
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

// Now implements proxy.Scheduler.
func (c *conn) Now() time.Time {
	if t := c.wire.Turn(); t != nil {
		return t.Now()
	}
	return time.Now()
}
