package appserver

import (
	"context"
	"slices"
	"sync/atomic"

	"alicorn/proxy"
)

// service is the app of one name across all generations that have it. pool takes its
// requests now. A request takes the pool that is current when it is submitted. That is
// after its body has been read, so that a slow upload does not keep an old pool alive,
// or before it with app_request_buffering off.
type service struct {
	name    string
	pool    atomic.Pointer[Pool]
	written written

	// The runtime's lock guards these.
	shares int        // generations that have the app
	coming []*attempt // pools that are to succeed pool, the oldest first
	past   []*Pool    // pools that were succeeded and may still run
}

// errSucceeded is returned by a pool that another one has succeeded. The request
// must go to that one.
var errSucceeded = &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: "another pool has succeeded this one"}

// join returns the service of that name, and adds a share.
func (rt *Runtime) join(name string) *service {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s := rt.services[name]
	if s == nil {
		s = &service{name: name}
		rt.services[name] = s
	}
	s.shares++
	return s
}

// leave removes a share. With the last one the service ends, at once when ctx ends;
// otherwise leave waits for succeeded pools that still run.
func (rt *Runtime) leave(ctx context.Context, s *service) {
	rt.mu.Lock()
	s.shares--
	last := s.shares == 0
	var given []*attempt
	if last {
		delete(rt.services, s.name)
		given = s.giveUp()
	}
	past := slices.Clone(s.past)
	rt.mu.Unlock()
	if last {
		if p := s.pool.Load(); p != nil {
			p.stop(ctx)
		}
		for _, a := range given {
			<-a.settled
		}
	}
	for _, p := range past {
		p.finish(ctx)
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s.past = slices.DeleteFunc(s.past, func(p *Pool) bool { return slices.Contains(past, p) })
}

// use makes p the pool that takes the app's requests.
func (rt *Runtime) use(s *service, p *Pool) {
	rt.mu.Lock()
	old := s.use(p)
	rt.mu.Unlock()
	if old != nil {
		old.succeed()
	}
}

// use makes p the current pool, and returns the one before, whose succeed the caller must call. The runtime's lock is held.
func (s *service) use(p *Pool) *Pool {
	old := s.pool.Swap(p)
	if old == nil || old == p {
		return nil
	}
	s.past = append(s.past, old)
	return old
}
