package appserver

import (
	"context"
	"slices"
)

// attempt is a new version of an app that replaces the current one when its pools are
// ready. Meanwhile the generation of the attempt uses the current version.
type attempt struct {
	*version
	dropped chan struct{} // closed when it is no longer wanted
	settled chan struct{} // closed once the outcome is known

	// The runtime's lock guards these. They are final once settled is closed.
	next *attempt // the outcome is that of this attempt; nil: it is its own
	used bool     // the version takes the app's requests
	err  error    // why the application has not come up
}

// mostComing bounds the attempts for one app. The oldest goes on until its outcome is
// known, so that many reloads cannot delay it forever. Each newer one replaces the one
// before it.
const mostComing = 2

// attempt makes v, which was started, replace the current version of s as soon as it is
// ready. If the application does not come up, the current version stays. If that is broken
// too, v replaces it, and tries again and again.
func (rt *Runtime) attempt(s *service, v *version) *attempt {
	a := &attempt{version: v, dropped: make(chan struct{}), settled: make(chan struct{})}
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

// giveUp drops the attempts and returns them. The runtime's lock is held.
func (s *service) giveUp() []*attempt {
	all := s.coming
	s.drop(all, nil)
	s.coming = nil
	return all
}

// drop drops attempts that are no longer wanted. next, which may be nil, has their outcome.
// The runtime's lock is held.
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
	case <-a.First():
	case <-a.dropped:
	}
	if old := rt.settle(s, a); old != nil {
		old.Succeed()
	}
	if a.used {
		a.Speak(false)
	} else {
		a.Stop(ended())
	}
}

// settle sets the outcome of a, unless it was dropped. It returns the version that a's has
// replaced; nil: none.
func (rt *Runtime) settle(s *service, a *attempt) (old *version) {
	ready, failed := a.Outcome()
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
	case ready || failed != nil && len(newer) == 0 && !s.version.Load().Serves():
		a.used = true
		s.drop(older, a)
		s.coming = newer
		return s.use(a.version)
	case len(newer) > 0:
		a.next = newer[0]
	}
	s.coming = append(slices.Clone(older), newer...)
	return nil
}

// outcome waits for the fate of the application and returns it. It returns an error
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
