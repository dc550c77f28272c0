package appserver

import (
	"context"
	"slices"
	"sync/atomic"

	"alicorn/appserver/pool"
)

// service is the app of one name across all generations that have it. version is the current
// version. A request uses the version that is current when it is submitted: after its body
// has been read, so that a slow upload does not keep an old pool alive, or before the body
// with app_request_buffering off.
type service struct {
	name    string
	version atomic.Pointer[version]
	written written
	printed pool.Allowance

	// The runtime's lock guards these.
	shares int        // the number of generations that have the app
	coming []*attempt // new versions that are not ready yet, the oldest first
	past   []*version // versions that were replaced and may still run
}

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

// leave removes a share. With the last one the service ends. leave waits until the replaced
// versions have ended. When ctx ends, they end at once.
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
		if v := s.version.Load(); v != nil {
			v.Stop(ctx)
		}
		for _, a := range given {
			<-a.settled
		}
	}
	for _, v := range past {
		v.Finish(ctx)
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s.past = slices.DeleteFunc(s.past, func(v *version) bool { return slices.Contains(past, v) })
}

// use makes v the version that takes the app's requests.
func (rt *Runtime) use(s *service, v *version) {
	rt.mu.Lock()
	old := s.use(v)
	rt.mu.Unlock()
	if old != nil {
		old.Succeed()
	}
}

// use makes v the current version, and returns the one before; nil: none. The caller must
// call its Succeed. The runtime's lock is held.
func (s *service) use(v *version) *version {
	old := s.version.Swap(v)
	if old == nil || old == v {
		return nil
	}
	s.past = append(s.past, old)
	return old
}
