package proxypass

import (
	"container/list"
	"slices"
	"time"

	"alicorn/proxy"
)

// waiter is a request in its group's queue: it waits for a member.
type waiter struct {
	sel    *selection
	waker  proxy.Waker
	place  *list.Element // in roster.waiting; nil: it does not wait any more
	member *member       // the member that it has got; nil: none yet
	began  time.Time
	given  time.Time // when it has got the member
	due    time.Time
	timer  *time.Timer
}

// The failures of requests that get no peer.
var (
	noPeer    = &failure{status: 502, reason: "no live upstreams " + whileConnecting}
	queueFull = &failure{status: 502, reason: "upstream queue is full " + whileConnecting}
	tooLong   = &failure{status: 502, reason: "upstream queue timed out " + whileConnecting}
)

// enqueue makes a request wait until a member can take it, at most for patience. It returns a
// member if one has become free meanwhile, otherwise the waiter, or why the request cannot
// wait.
func (r *roster) enqueue(sel *selection, waker proxy.Waker, patience time.Duration, now time.Time) (*member, *waiter, *failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Len() == 0 {
		if m := r.take(sel, now); m != nil {
			return m, nil, nil
		}
	}
	switch {
	case !slices.ContainsFunc(r.members, func(m *member) bool { return m.serves(sel) }):
		return nil, nil, noPeer
	case r.waiting.Len() >= r.room:
		return nil, nil, queueFull
	}
	w := &waiter{sel: sel, waker: waker, began: now, due: now.Add(patience)}
	w.place = r.waiting.PushBack(w)
	w.timer = time.AfterFunc(patience, waker.Wake)
	return nil, w, nil
}

// maxLooks is how many waiters serve tries: the first ones may have tried the free member
// already.
const maxLooks = 16

// serve gives a free member to the first waiter that can use it. r.mu is held.
func (r *roster) serve(now time.Time) {
	e := r.waiting.Front()
	for range maxLooks {
		if e == nil {
			return
		}
		w, next := e.Value.(*waiter), e.Next()
		if w.member = r.take(w.sel, now); w.member != nil {
			w.given = now
			r.waiting.Remove(e)
			w.place = nil
			w.timer.Stop()
			w.waker.Wake()
			return
		}
		e = next
	}
}

// waited returns the member that w has got; nil: none yet. over says that w has waited for too
// long; then it does not wait any more.
func (r *roster) waited(w *waiter, now time.Time) (m *member, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.member == nil && !now.Before(w.due) {
		r.drop(w)
		return nil, true
	}
	return w.member, false
}

// giveUp ends w's wait because its client has left. If w has got a member, that is free again.
func (r *roster) giveUp(w *waiter, now time.Time) {
	r.mu.Lock()
	m := w.member
	r.drop(w)
	r.mu.Unlock()
	if m != nil {
		r.leave(m, result{began: w.given, header: -1, whole: -1}, now)
	}
}

func (r *roster) drop(w *waiter) {
	if w.place != nil {
		r.waiting.Remove(w.place)
		w.place = nil
		w.timer.Stop()
	}
}
