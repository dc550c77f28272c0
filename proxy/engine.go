package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// ServeConn serves a connection until it ends, and closes it. It is called on a
// goroutine of its own. Where nc is an *eventloop.Conn, or a *tls.Conn over an
// *eventloop.Carrier, it is called by who owns that instead, and only starts it:
// see eventloop.Conn's Start.
//
// The Engine's own is proxy/transport's, which fills what c has of the PROXY header
// and of TLS, and calls that of the protocol which was negotiated; handshakes are
// over then.
type ServeConn func(e *Engine, nc net.Conn, c *Conn)

// LiveConn is a connection being served, as the Engine ends it.
type LiveConn interface {
	// Drain tells the connection that the Engine drains: its next response says
	// "Connection: close", and it waits no longer than last for that request;
	// 0: it closes at once where it has none. It does not block.
	Drain(last time.Duration)
	// Waits reports whether the connection has no request, and since when; the
	// zero time where that is not known.
	Waits() (since time.Time, idle bool)
	// Asked reports whether bytes have come that nobody has read yet: of a
	// connection that waits, the next request.
	Asked() bool
	// Tunnels reports whether HTTP has ended on the connection: see Tunnel. Nobody
	// knows when that ends.
	Tunnels() bool
	// Cut ends the exchanges that use g now. A connection that has no others may
	// end with them.
	Cut(g *Generation)
	// Close cuts the connection now.
	Close() error
}

// Engine serves the current Generation on its listeners. Generations are
// swapped by one pointer; each request takes the one that is current when its
// head is complete.
type Engine struct {
	current atomic.Pointer[Generation]
	serve   ServeConn
	loops   *eventloop.Group // nil: a goroutine for each connection
	nextID  atomic.Uint64
	down    atomic.Bool
	last    atomic.Int64 // see lastWait; set before down

	mu    sync.Mutex
	gone  bool // no connection is served any more
	conns map[*Conn]LiveConn
	// leaving are those of conns that shed has told to close, last at shedAt.
	leaving map[*Conn]bool
	shedAt  time.Time
	wake    chan struct{} // closed and replaced when a connection or request ends while someone waits
	wait    atomic.Int32  // how many wait
}

// NewEngine returns an Engine that serves connections with serve: in loops,
// which the caller closes after Shutdown, or where they are nil on a goroutine
// each.
func NewEngine(serve ServeConn, loops *eventloop.Group) *Engine {
	return &Engine{serve: serve, loops: loops, conns: map[*Conn]LiveConn{}, leaving: map[*Conn]bool{}, wake: make(chan struct{})}
}

// Current returns the running Generation, nil before the first Swap.
func (e *Engine) Current() *Generation { return e.current.Load() }

// Swap makes g current, starts to accept on its new listeners, and returns
// the Generation before, which still serves its requests in progress: Drain
// it, then release its Resources.
func (e *Engine) Swap(g *Generation) *Generation {
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

// Register tells the Engine of a connection that it may have to end, in place of
// what it knew of c; false when the Engine has shut down and the connection is to
// be closed.
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

// Unregister forgets a connection that has ended.
func (e *Engine) Unregister(c *Conn) {
	e.mu.Lock()
	delete(e.conns, c)
	delete(e.leaving, c)
	e.mu.Unlock()
	e.notify()
}

// Connections returns how many connections are open.
func (e *Engine) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Draining reports that the process is ending: responses say Connection: close.
func (e *Engine) Draining() bool { return e.down.Load() }

// Patience returns how long a connection may wait for its next bytes where it may
// wait for timeout (0: for ever) otherwise: less while the Engine is Draining;
// negative: not at all.
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

// Idle leaves nc to its loop, as eventloop's Idle does. It may be another
// goroutine's as soon as that is so.
func (e *Engine) Idle(nc *eventloop.Conn, timeout time.Duration) bool {
	if !nc.Idle(timeout) {
		return false
	}
	if e.Draining() { // it may have come too late for timeout, and too early for Drain
		nc.Hurry(e.lastWait())
	}
	return true
}

// lastWait is how long a connection may wait for its last request while the Engine
// is Draining.
func (e *Engine) lastWait() time.Duration { return time.Duration(e.last.Load()) }

func (e *Engine) notify() {
	if e.wait.Load() == 0 {
		return
	}
	e.mu.Lock()
	close(e.wake)
	e.wake = make(chan struct{})
	e.mu.Unlock()
}

// waitUntil blocks until done, called with e.mu held, is true or ctx ends.
func (e *Engine) waitUntil(ctx context.Context, done func() bool) error {
	e.wait.Add(1)
	defer e.wait.Add(-1)
	for {
		e.mu.Lock()
		ok, wake := done(), e.wake
		e.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain waits until no request uses g. When ctx ends first, the requests that
// still do are cut.
func (e *Engine) Drain(ctx context.Context, g *Generation) error {
	err := e.waitUntil(ctx, func() bool {
		for c := range e.conns {
			if c.leases.uses(g) {
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

// Shutdown stops accepting, answers each connection's request in progress or
// the one that comes within last, and closes it. When ctx ends first, what is
// left is cut. A client that keeps a connection learns from "Connection: close"
// that it is the last one: closing an idle connection loses the request that is
// on its way. A tunnel goes on until ctx ends where ctx has a deadline, else for
// tunnelsLast.
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
	err := e.waitUntil(ctx, func() bool {
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

// tunnelsLast is how long a tunnel goes on when the Engine shuts down and nothing else
// bounds that: it would never end by itself, and its client connects anew.
const tunnelsLast = 5 * time.Second

// endTunnels closes tunnels that have had their time, and those of requests that come
// last, until ended is closed.
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

// cut ends what it is called for on the connections that which chooses.
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

// Site returns the Site that c arrived on in the current Generation, nil when
// nothing listens there any more. It is for c's protocol loop.
func (e *Engine) Site(c *Conn) *Site {
	g := e.current.Load()
	return g.siteOf(c)
}

// Defaults returns the settings that hold before a request's server is known:
// those of the address's default server. nil when the listener was removed.
func (e *Engine) Defaults(c *Conn) *Core {
	s := e.Site(c)
	if s == nil {
		return nil
	}
	return s.Default.Root.Core
}
