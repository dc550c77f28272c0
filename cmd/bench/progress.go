package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// moreTime is how long after its duration the load may go on until enough has happened,
// which takes longer on a slow machine.
const moreTime = 3 * time.Minute

// actDeadline is how long one act may take.
const actDeadline = 2 * time.Minute

// progress is what has happened since a run of chaos began.
type progress struct {
	mu     sync.Mutex
	acts   int
	bodies map[string]bool // of answers; each worker has its own
}

func (p *progress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts, p.bodies = 0, make(map[string]bool)
}

func (p *progress) acted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts++
}

func (p *progress) answered(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.bodies[string(body)] {
		p.bodies[string(body)] = true
	}
}

// enough reports whether all has happened that the verdict needs: acts, and answers of new
// workers if the acts replace workers.
func (c *chaos) enough() bool {
	c.progress.mu.Lock()
	defer c.progress.mu.Unlock()
	switch {
	case c.kind.act != nil && c.progress.acts < c.acts:
		return false
	case c.kind.replaces && len(c.progress.bodies) <= c.workers:
		return false
	}
	return c.kind.enough == nil || c.kind.enough(c)
}

// last returns after the duration, or once enough has happened if that is later.
func (c *chaos) last(ctx context.Context) {
	if !sleep(ctx, c.duration) {
		return
	}
	late := time.Now().Add(moreTime)
	for !c.enough() && time.Now().Before(late) && sleep(ctx, 20*time.Millisecond) {
	}
}

// route is a way to a server.
type route struct {
	name          string      // for reports
	network, addr string      // empty addr: the server's
	tls           *tls.Config // nil: without TLS
}

func (r route) dial() (net.Conn, error) {
	dialer := &net.Dialer{Timeout: requestDeadline}
	if r.tls != nil {
		return tls.DialWithDialer(dialer, r.network, r.addr, r.tls)
	}
	return dialer.Dial(r.network, r.addr)
}

// firstFaults is how many faults of a kind are printed.
const firstFaults = 10

// faults counts what was tried and keeps the first errors.
type faults struct {
	mu     sync.Mutex
	done   int
	failed int
	first  []error
}

// add counts one try and how it ended.
func (f *faults) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done++
	if err == nil {
		return
	}
	if f.failed++; len(f.first) < firstFaults {
		f.first = append(f.first, err)
	}
}

// verdict prints the counts and returns an error if a try failed, or there was none.
func (f *faults) verdict(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Printf("%s: %d, %d failed\n", what, f.done, f.failed)
	switch {
	case f.failed > 0:
		return fmt.Errorf("%w: %d of %d %s failed, the first: %w", errBroken, f.failed, f.done, what, errors.Join(f.first...))
	case f.done == 0:
		return fmt.Errorf("%w: there were no %s", errBroken, what)
	}
	return nil
}
