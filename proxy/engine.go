package proxy

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// ServeConn serves a connection until it ends, and closes it. It has a goroutine of its
// own, unless nc is an *eventloop.Conn, or a *tls.Conn over an *eventloop.Carrier. Then the
// owner of nc calls it, and ServeConn only starts nc: see eventloop.Conn's Start.
//
// The Engine calls the ServeConn of proxy/transport. That reads the PROXY header, does the
// handshake, sets c's fields for both, and calls the ServeConn of the negotiated protocol.
type ServeConn func(e *Engine, nc net.Conn, c *Conn)

// LiveConn is a connection that is served, as the Engine sees it.
type LiveConn interface {
	// Drain makes the connection close after its next response, which says "Connection:
	// close". If the connection has no request, it waits for one for the time of last; 0:
	// it closes at once. Drain does not block.
	Drain(last time.Duration)
	// Waits reports whether the connection has no request, and since when; the zero Time
	// if that is not known.
	Waits() (since time.Time, idle bool)
	// Asked reports whether bytes have come that are not read yet. If the connection
	// Waits, they are its next request.
	Asked() bool
	// Tunnels reports whether the connection is a tunnel, which may never end: see Tunnel.
	Tunnels() bool
	// Cut cuts the exchanges that use g. A connection that has no others may close.
	Cut(g *Generation)
	// Close cuts the connection at once.
	Close() error
}

// Engine serves the current Generation on its listeners. Swap replaces the Generation by
// one pointer. Each request uses the Generation that is current when its head is complete.
type Engine struct {
	current atomic.Pointer[Generation]
	serve   ServeConn
	loops   *eventloop.Group // nil: a goroutine for each connection
	nextID  atomic.Uint64
	down    atomic.Bool
	last    atomic.Int64 // see lastWait, in nanoseconds; set before down

	mu    sync.Mutex
	gone  bool // the Engine has shut down
	conns map[*Conn]LiveConn
	ended uint64 // the requests of connections that have ended
	// leaving are the connections that shed has told to close; the last ones at shedAt.
	leaving map[*Conn]bool
	shedAt  time.Time
	waiters []*waiter
}

// waiter is a goroutine in waitUntil. What does not concern it does not wake it: otherwise each
// request of a busy server would cost a look at all connections for as long as a single old
// request lasts after a reload.
type waiter struct {
	generation *Generation   // it waits for the requests of; nil: for all connections
	wake       chan struct{} // with room for one
}

func (w *waiter) call() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// NewEngine returns an Engine that serves connections with serve in loops, which the caller
// closes after Shutdown. If loops is nil, each connection has a goroutine.
func NewEngine(serve ServeConn, loops *eventloop.Group) *Engine {
	return &Engine{serve: serve, loops: loops, conns: map[*Conn]LiveConn{}, leaving: map[*Conn]bool{}}
}

// Current returns the current Generation; nil before the first Swap.
func (e *Engine) Current() *Generation { return e.current.Load() }

// Swap makes g current and starts to accept on its new listeners. It returns the Generation
// before, which still serves its requests in progress: the caller drains it, and then
// releases its Resources.
func (e *Engine) Swap(g *Generation) *Generation {
	g.engine = e
	old := e.current.Swap(g)
	for _, l := range g.Listeners {
		if err := l.tune(g.sites[l].tuning); err != nil && g.ErrorLog != nil {
			g.ErrorLog.Log(context.Background(), LevelAlert, "cannot set an option of "+l.Address+": "+err.Error())
		}
		if l.accepts == nil && !l.Closed() {
			if err := e.listen(l); err != nil {
				e.acceptFailed(l, err)
			}
		}
	}
	if old != nil {
		e.closeRemoved(old, g)
	}
	for _, f := range g.serves {
		f()
	}
	return old
}

// closeRemoved closes listeners of old that g does not use.
func (e *Engine) closeRemoved(old, g *Generation) {
	for _, l := range old.Listeners {
		if _, kept := g.sites[l]; !kept {
			l.Close()
		}
	}
}

// Register makes lc the LiveConn of c, in place of an earlier one. If the Engine has shut
// down it returns false, and the caller must close the connection.
func (e *Engine) Register(c *Conn, lc LiveConn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		delete(e.conns, c)
		return false
	}
	e.conns[c] = lc
	return true
}

// Unregister removes a connection that has ended.
func (e *Engine) Unregister(c *Conn) {
	e.mu.Lock()
	e.ended += c.leases.requests()
	delete(e.conns, c)
	delete(e.leaving, c)
	for _, w := range e.waiters {
		if w.generation == nil || c.leases.uses(w.generation) {
			w.call()
		}
	}
	e.mu.Unlock()
}

// Connections returns how many connections are open.
func (e *Engine) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Draining reports whether the Engine shuts down. Responses then say "Connection: close".
func (e *Engine) Draining() bool { return e.down.Load() }

// Patience returns how long a connection may wait for its next bytes: timeout (0: no
// limit), or less while the Engine is Draining. A negative result means not at all.
func (e *Engine) Patience(timeout time.Duration) time.Duration {
	if !e.Draining() {
		return timeout
	}
	last := e.lastWait()
	switch {
	case last <= 0:
		return -1
	case timeout == 0:
		return last
	}
	return min(timeout, last)
}

// Idle gives nc to its loop, as eventloop's Idle does. After that another goroutine may
// own it.
func (e *Engine) Idle(nc *eventloop.Conn, timeout time.Duration) bool {
	if !nc.Idle(timeout) {
		return false
	}
	if e.Draining() { // since timeout was computed; Drain may have been called before Idle
		nc.Hurry(e.lastWait())
	}
	return true
}

// lastWait returns how long a connection may wait for its last request while the Engine is
// Draining: the last of Shutdown.
func (e *Engine) lastWait() time.Duration { return time.Duration(e.last.Load()) }

// requestEnded tells those who wait for it that a request of g has ended.
func (e *Engine) requestEnded(g *Generation) {
	if !g.awaited.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.waiters {
		if w.generation == g {
			w.call()
		}
	}
}

// await makes a waiter for the requests of g; nil: for all connections.
func (e *Engine) await(g *Generation) *waiter {
	w := &waiter{generation: g, wake: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiters = append(e.waiters, w)
	if g != nil {
		g.awaited.Store(true)
	}
	return w
}

// forget ends w.
func (e *Engine) forget(w *waiter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiters = slices.DeleteFunc(e.waiters, func(o *waiter) bool { return o == w })
}

// waitUntil blocks until done returns true or ctx ends. It calls done with e.mu held, now and
// whenever a request of g ends, or, if g is nil, a connection.
func (e *Engine) waitUntil(ctx context.Context, g *Generation, done func() bool) error {
	w := e.await(g)
	defer e.forget(w)
	for {
		e.mu.Lock()
		ok := done()
		e.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain waits until no request uses g. If ctx ends first, it cuts the requests that still
// use g.
func (e *Engine) Drain(ctx context.Context, g *Generation) error {
	var user *Conn // was the first that was found to use g
	err := e.waitUntil(ctx, g, func() bool {
		if e.conns[user] != nil && user.leases.uses(g) {
			return false
		}
		for c := range e.conns {
			if c.leases.uses(g) {
				user = c
				return false
			}
		}
		return true
	})
	if err != nil {
		e.cut(func(c *Conn) bool { return c.leases.uses(g) }, func(lc LiveConn) { lc.Cut(g) })
	}
	return err
}

func (e *Engine) stopAccepting() {
	if g := e.Current(); g != nil {
		for _, l := range g.Listeners {
			l.Close()
		}
	}
}

// Shutdown stops accepting. It waits until each connection has answered its request in
// progress, or one that comes within last, and has closed. Closing an idle connection at
// once would lose a request that is on its way; "Connection: close" tells the client that
// the request is the last one. A tunnel goes on for TunnelsLast. When ctx ends, Shutdown
// cuts all connections that are left.
func (e *Engine) Shutdown(ctx context.Context, last time.Duration) error {
	e.stopAccepting()
	e.last.Store(int64(last))
	e.down.Store(true)
	e.mu.Lock()
	live := make([]LiveConn, 0, len(e.conns))
	for _, lc := range e.conns {
		live = append(live, lc)
	}
	e.mu.Unlock()
	for _, lc := range live {
		lc.Drain(last)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		ended := make(chan struct{})
		defer close(ended)
		go e.endTunnels(ended)
	}
	err := e.waitUntil(ctx, nil, func() bool {
		e.gone = len(e.conns) == 0
		return e.gone
	})
	if err != nil {
		e.mu.Lock()
		e.gone = true
		e.mu.Unlock()
		e.cut(func(*Conn) bool { return true }, func(lc LiveConn) { lc.Close() })
	}
	return err
}

// tunnelsLast is how long a tunnel goes on after Shutdown without a deadline. A tunnel may
// never end by itself, and its client can connect anew.
const tunnelsLast = 5 * time.Second

// TunnelsLast returns how long a tunnel goes on after Shutdown with ctx: until the deadline
// of ctx, or for five seconds if it has none.
func TunnelsLast(ctx context.Context) time.Duration {
	if deadline, bounded := ctx.Deadline(); bounded {
		return time.Until(deadline)
	}
	return tunnelsLast
}

// endTunnels closes all tunnels every tunnelsLast until ended is closed: requests may begin
// new tunnels meanwhile.
func (e *Engine) endTunnels(ended <-chan struct{}) {
	tick := time.NewTicker(tunnelsLast)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			e.cut(func(*Conn) bool { return true }, func(lc LiveConn) {
				if lc.Tunnels() {
					lc.Close()
				}
			})
		}
	}
}

// cut calls end for each connection for which which returns true.
func (e *Engine) cut(which func(c *Conn) bool, end func(lc LiveConn)) {
	e.mu.Lock()
	var live []LiveConn
	for c, lc := range e.conns {
		if which(c) {
			live = append(live, lc)
		}
	}
	e.mu.Unlock()
	for _, lc := range live {
		end(lc)
	}
}

// Site returns the Site of c's address in the current Generation; see siteOf. It is for c's
// protocol loop.
func (e *Engine) Site(c *Conn) *Site {
	g := e.current.Load()
	return g.siteOf(c)
}

// Defaults returns the settings for a request whose server is not known yet: those of the
// address's default server; nil if the current Generation has no server.
func (e *Engine) Defaults(c *Conn) *Core {
	s := e.Site(c)
	if s == nil {
		return nil
	}
	return s.Default.Root.Core
}
