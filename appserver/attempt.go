package appserver

import (
	"context"
	"errors"
	"slices"
)

// attempt is a pool that starts in order to succeed the one that serves its
// app. The generation that wants it serves meanwhile.
type attempt struct {
	pool    *Pool
	dropped chan struct{} // closed when it is not wanted any more
	settled chan struct{} // closed once the outcome is known

	// Under the runtime's lock, and to be read once settled.
	next *attempt // whose outcome counts in place of this one's; nil: none
	used bool     // the pool takes the app's requests
	err  error    // why the application has not come up
}

var errGivenUp = errors.New("it was given up before it came up")

// mostComing bounds the attempts for one app. The oldest goes on until its
// outcome is known, so that reloads in a row cannot put it off for ever; each
// newer one takes the place of the one before it.
const mostComing = 2

// attempt has p, which was started, succeed the pool that serves s as soon as
// it is ready. When the application does not come up that one goes on, unless
// it serves nothing: then p takes its place, and goes on trying.
func (rt *Runtime) attempt(s *service, p *Pool) *attempt {
	a := &attempt{pool: p, dropped: make(chan struct{}), settled: make(chan struct{})}
	rt.mu.Lock()
	if len(s.coming) == mostComing {
		s.drop(s.coming[mostComing-1:], a)
		s.coming = s.coming[:mostComing-1]
	}
	s.coming = append(s.coming, a)
	rt.mu.Unlock()
	go rt.attend(s, a)
	return a
}

// newest returns the newest attempt for s; nil: there is none.
func (rt *Runtime) newest(s *service) *attempt {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if len(s.coming) == 0 {
		return nil
	}
	return s.coming[len(s.coming)-1]
}

// giveUp drops all attempts for s.
func (rt *Runtime) giveUp(s *service) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s.giveUp()
}

// giveUp returns the attempts, which were dropped. The runtime's lock is held.
func (s *service) giveUp() []*attempt {
	all := s.coming
	s.drop(all, nil)
	s.coming = nil
	return all
}

// drop tells attempts that they are not wanted. next, which may be nil, counts
// in their place. The runtime's lock is held.
func (s *service) drop(all []*attempt, next *attempt) {
	for _, a := range all {
		a.next = next
		close(a.dropped)
	}
}

// attend waits for the outcome of a and settles it.
func (rt *Runtime) attend(s *service, a *attempt) {
	defer close(a.settled)
	select {
	case <-a.pool.first:
	case <-a.pool.done:
	case <-a.dropped:
	}
	if old := rt.settle(s, a); old != nil {
		old.succeed()
	}
	if a.used {
		a.pool.speak(false)
	} else {
		a.pool.stop(ended())
	}
}

// settle notes the outcome of a, unless it was dropped. It returns the pool that
// a's has succeeded; nil: none.
func (rt *Runtime) settle(s *service, a *attempt) (old *Pool) {
	ready, failed := a.pool.outcomeNow()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	i := slices.Index(s.coming, a)
	if i < 0 {
		return nil
	}
	older, newer := s.coming[:i], slices.Clone(s.coming[i+1:])
	if failed != nil {
		a.err = failed
	}
	switch {
	case ready || failed != nil && len(newer) == 0 && !s.pool.Load().serves():
		a.used = true
		s.drop(older, a)
		s.coming = newer
		return s.use(a.pool)
	case len(newer) > 0:
		a.next = newer[0]
	}
	s.coming = append(slices.Clone(older), newer...)
	return nil
}

// outcome returns what has become of the application, once that is known, or
// when ctx ends.
func (a *attempt) outcome(ctx context.Context) (Fate, error) {
	for {
		select {
		case <-a.settled:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		switch {
		case a.next != nil:
			a = a.next
		case a.err != nil:
			return Failed, a.err
		case a.used:
			return Replaced, nil
		default:
			return Kept, nil // a later reload has found it as it was before
		}
	}
}
