package appserver

import (
	"context"
	"slices"
	"sync/atomic"

	"alicorn/proxy"
)

// service is the app of one name through all generations that have it: the
// pool that takes its requests now. A request takes the pool that is current
// when its body has been read, so that no slow upload keeps an old pool alive.
type service struct {
	name    string
	pool    atomic.Pointer[Pool]
	written written

	// Under the runtime's lock.
	shares int        // generations that have the app
	coming []*attempt // to succeed pool, the oldest first
	past   []*Pool    // pools that were succeeded and may still run
}

// errSucceeded is returned by a pool that another one has succeeded: that one
// takes the request.
var errSucceeded = &proxy.Fail{Status: 503, Level: proxy.LevelError, Reason: "another pool has succeeded this one"}

// join returns the service of that name with one share more.
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

// leave gives one share back. With the last one the service ends, as ctx says;
// else it waits for those pools of the past that have not ended.
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

// use returns the pool before p, which has to be told. The runtime's lock is held.
func (s *service) use(p *Pool) *Pool {
	old := s.pool.Swap(p)
	if old == nil || old == p {
		return nil
	}
	s.past = append(s.past, old)
	return old
}
