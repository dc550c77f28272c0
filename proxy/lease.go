package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
)

// lease holds the Generation that an Exchange uses; nil between its requests. It is a
// hazard pointer: enter sets it, and then checks that this Generation is still the current
// one. So exchanges share no counter.
type lease struct {
	generation atomic.Pointer[Generation]
	requests   atomic.Uint64 // how many requests have begun; only their goroutine changes it
	lent       atomic.Bool   // an Exchange has the lease; used only in a connection's own lease
}

// leases are the leases of the exchanges on one connection. The first Exchange gets the
// connection's own lease, which needs no memory and no lock: HTTP/1 needs no other.
type leases struct {
	own  lease
	mu   sync.Mutex
	more []*lease
	past uint64 // the requests of leases that were taken out of more
}

// lend returns a lease for an Exchange. Several goroutines may call it at once.
func (s *leases) lend() *lease {
	if s.own.lent.CompareAndSwap(false, true) {
		return &s.own
	}
	l := &lease{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more = append(s.more, l)
	return l
}

// takeBack takes back a lease that lend has returned.
func (s *leases) takeBack(l *lease) {
	if l == &s.own {
		l.lent.Store(false)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past += l.requests.Load()
	s.more = slices.DeleteFunc(s.more, func(o *lease) bool { return o == l })
}

// uses reports whether an Exchange uses g.
func (s *leases) uses(g *Generation) bool {
	if s.own.generation.Load() == g {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.more, func(l *lease) bool { return l.generation.Load() == g })
}

// requests returns how many requests have begun on the connection.
func (s *leases) requests() uint64 {
	n := s.own.requests.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.more {
		n += l.requests.Load()
	}
	return n + s.past
}

// busy reports whether an Exchange uses a Generation.
func (s *leases) busy() bool {
	if s.own.generation.Load() != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.more, func(l *lease) bool { return l.generation.Load() != nil })
}

// enter leases the current Generation for x's request.
func (e *Engine) enter(x *Exchange) *Generation {
	x.lease.requests.Add(1)
	for {
		g := e.current.Load()
		before := x.lease.generation.Swap(g)
		if before != nil { // it has been replaced meanwhile, and a Drain may have found the lease
			e.requestEnded(before)
		}
		if e.current.Load() == g {
			return g
		}
	}
}

// exit gives the Generation of x's request back.
func (e *Engine) exit(x *Exchange) {
	if g := x.lease.generation.Swap(nil); g != nil {
		e.requestEnded(g)
	}
}

// Uses reports whether x's request uses g. Any goroutine may call it before x is released.
func (x *Exchange) Uses(g *Generation) bool { return x.lease.generation.Load() == g }
