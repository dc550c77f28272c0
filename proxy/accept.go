package proxy

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// listen begins to accept on l: in the loops if the Engine has any, otherwise on a
// goroutine.
func (e *Engine) listen(l *Listener) error {
	if e.loops == nil {
		return e.listenBlocking(l)
	}
	own := -1
	var err error
	if c := l.control(func(fd int) { own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }); c != nil || err != nil {
		return cmp.Or(c, err)
	}
	unix.SetNonblock(own, true)
	if l.Network != "unix" { // accepted sockets inherit these
		unix.SetsockoptInt(own, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetsockoptInt(own, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
	a := &eventAcceptor{fd: own}
	a.listener, err = e.loops.Listen(own, func(nc *eventloop.Conn) { e.start(nc, l) }, func(err error) { e.acceptFailed(l, err) })
	if err != nil {
		unix.Close(own)
		return err
	}
	l.accepts = a
	return nil
}

type eventAcceptor struct {
	listener *eventloop.Listener
	fd       int
}

// Close stops accepting.
func (a *eventAcceptor) Close() error {
	a.listener.Close()
	return unix.Close(a.fd)
}

// blockingAcceptor accepts on a goroutine.
type blockingAcceptor struct {
	net  net.Listener
	done sync.WaitGroup
}

// Close stops accepting.
func (a *blockingAcceptor) Close() error {
	err := a.net.Close()
	a.done.Wait()
	return err
}

func (e *Engine) listenBlocking(l *Listener) error {
	nl, err := net.FileListener(l.file)
	if err != nil {
		return err
	}
	a := &blockingAcceptor{net: nl}
	a.done.Go(func() { e.acceptBlocking(l, nl) })
	l.accepts = a
	return nil
}

func (e *Engine) acceptBlocking(l *Listener, nl net.Listener) {
	var pause time.Duration
	for {
		nc, err := nl.Accept()
		if err == nil {
			pause = 0
			e.start(nc, l)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		e.acceptFailed(l, err)
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		time.Sleep(pause) // most often no descriptor is left, until a connection closes
	}
}

// start serves the connection nc: on a new goroutine, unless a loop calls nc.
func (e *Engine) start(nc net.Conn, l *Listener) {
	c := &Conn{ID: e.nextID.Add(1), Accepted: time.Now()}
	c.fill(nc, l)
	if _, inLoop := nc.(*eventloop.Conn); inLoop {
		e.serve(e, nc, c)
		return
	}
	go e.serve(e, nc, c)
}

// shedding is how many connections close at once when few descriptors are left. shedTime
// is how long they may take; after that others close instead.
const (
	shedding = 32
	shedTime = time.Second
)

// shed closes idle connections when few descriptors are left, as nginx does. It closes
// those that have been idle for the longest time, so that clients that send requests often
// keep theirs. It closes no connection whose next request has come. In the younger half it
// closes none that has been idle for less than a second, as the next request may be on its
// way. Closing takes a while, in which more connections come. So shed counts connections
// that are still closing, and closes fewer others.
func (e *Engine) shed() {
	for _, lc := range e.chooseIdle() {
		lc.Drain(0)
	}
}

// chooseIdle returns the connections that shed closes.
func (e *Engine) chooseIdle() []LiveConn {
	type waiting struct {
		c     *Conn
		since time.Time
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.shedAt) > shedTime {
		clear(e.leaving)
	}
	room := shedding - len(e.leaving)
	if room < shedding/2 {
		return nil // each call looks at all connections, so it should close many or none
	}
	idle := make([]waiting, 0, len(e.conns))
	for c, lc := range e.conns {
		if since, ok := lc.Waits(); ok && !e.leaving[c] {
			idle = append(idle, waiting{c, since})
		}
	}
	slices.SortFunc(idle, func(a, b waiting) int { return a.since.Compare(b.since) })
	var chosen []LiveConn
	for i, w := range idle[:min(4*shedding, len(idle))] {
		if len(chosen) == room || i >= len(idle)/2 && now.Sub(w.since) < time.Second {
			break
		}
		if lc := e.conns[w.c]; !lc.Asked() {
			e.leaving[w.c] = true
			chosen = append(chosen, lc)
		}
	}
	e.shedAt = now
	return chosen
}

// acceptFailed logs an error of accepting on l, and closes idle connections if few
// descriptors are left.
func (e *Engine) acceptFailed(l *Listener, err error) {
	if errors.Is(err, eventloop.ErrScarce) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		e.shed()
	}
	if errors.Is(err, eventloop.ErrScarce) {
		return
	}
	if g := e.Current(); g != nil && g.ErrorLog != nil {
		text := "cannot accept on " + l.Address + ": " + err.Error()
		if errors.Is(err, unix.EMFILE) {
			text += "; LimitNOFILE in the service's unit, or \"ulimit -n\", allows more"
		}
		g.ErrorLog.Log(context.Background(), LevelCrit, text)
	}
}
