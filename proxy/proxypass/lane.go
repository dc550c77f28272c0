package proxypass

import (
	"slices"
	"sync"
	"time"
)

// lane is a Group's part for one event loop.
type lane struct {
	group  *Group
	roster *roster

	mu     sync.Mutex
	kept   []*conn // oldest first
	closed bool
	_      [64]byte // locks of two lanes are not in one cache line
}

// takeKept returns a kept connection to p by a way: the lane's own that was used last, or
// another lane's; nil where there is none.
func (l *lane) takeKept(p *peer, w way) *conn {
	if c := l.take(p, &w); c != nil {
		return c
	}
	for i := range l.group.lanes {
		if other := &l.group.lanes[i]; other != l {
			if c := other.take(p, &w); c != nil {
				return c
			}
		}
	}
	return nil
}

// take is takeKept for the lane's own; w is nil for any way.
func (l *lane) take(p *peer, w *way) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.kept) - 1; i >= 0; i-- {
		c := l.kept[i]
		if !c.leadsTo(p) || w != nil && c.way != *w {
			continue
		}
		l.kept = append(l.kept[:i], l.kept[i+1:]...)
		if c.claim() {
			return c
		}
	}
	return nil
}

// keep keeps c for other requests: above the number of those to keep for the group's
// surplus, or, without a loop, in place of the oldest.
func (l *lane) keep(c *conn) {
	d := l.group.definition
	var oldest *conn
	timeout := d.keepTimeout
	l.mu.Lock()
	surplus := len(l.kept) >= d.keep
	if surplus && c.looped != nil {
		timeout = min(timeout, l.group.surplus)
	}
	if l.closed || c.peer.gone.Load() || !c.rest(timeout) {
		l.mu.Unlock()
		c.close()
		return
	}
	if surplus && c.looped == nil {
		oldest = l.kept[0]
		oldest.claim()
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, c)
	l.mu.Unlock()
	if oldest != nil {
		oldest.close()
	}
}

// keeps reports whether a connection that is free may be kept.
func (l *lane) keeps(c *conn, now time.Time) bool {
	d := l.group.definition
	return d.keep > 0 && d.keepTimeout > 0 && c.requests < d.keepRequests && now.Sub(c.born) < d.keepTime
}

// evict forgets c, which has ended, or has been kept for too long. It is false where c is
// not kept any more.
func (l *lane) evict(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.kept, c)
	if i >= 0 {
		l.kept = append(l.kept[:i], l.kept[i+1:]...)
	}
	return i >= 0
}

// closeTo closes the connections to p that are kept.
func (l *lane) closeTo(p *peer) {
	for c := l.take(p, nil); c != nil; c = l.take(p, nil) {
		c.close()
	}
}

func (l *lane) close() {
	l.mu.Lock()
	kept := l.kept
	l.kept, l.closed = nil, true
	for i, c := range kept {
		if !c.claim() {
			kept[i] = nil
		}
	}
	l.mu.Unlock()
	for _, c := range kept {
		if c != nil {
			c.close()
		}
	}
}
