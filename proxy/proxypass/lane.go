package proxypass

import (
	"sync"
	"time"
)

// lane is a Group's part for one event loop.
type lane struct {
	group  *Group
	roster *roster

	mu     sync.Mutex
	kept   connList
	closed bool
	_      [64]byte // keeps the locks of two lanes in different cache lines
}

// takeKept returns a kept connection to p by a way: the one of the lane that was used last,
// otherwise one of another lane; nil: there is none.
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

// take is takeKept from l alone; w nil: by any way.
func (l *lane) take(p *peer, w *way) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var older *conn
	for c := l.kept.newest; c != nil; c = older {
		older = c.older
		if !c.leadsTo(p) || w != nil && c.way != *w {
			continue
		}
		l.kept.remove(c)
		if c.claim() {
			return c
		}
	}
	return nil
}

// keep keeps c for other requests. If the lane has as many as it may keep, it keeps c only for
// the time of the group's surplus; without a loop it keeps c in place of the oldest.
func (l *lane) keep(c *conn) {
	d := l.group.definition
	var oldest *conn
	timeout := d.keepTimeout
	l.mu.Lock()
	surplus := l.kept.count >= d.keep
	if surplus && c.looped != nil {
		timeout = min(timeout, l.group.surplus)
	}
	if l.closed || c.peer.gone.Load() || !c.rest(timeout) {
		l.mu.Unlock()
		c.close()
		return
	}
	if surplus && c.looped == nil {
		oldest = l.kept.oldest
		oldest.claim()
		l.kept.remove(oldest)
	}
	l.kept.add(c)
	l.mu.Unlock()
	if oldest != nil {
		oldest.close()
	}
}

// keeps reports whether a free connection may be kept.
func (l *lane) keeps(c *conn, now time.Time) bool {
	d := l.group.definition
	return d.keep > 0 && d.keepTimeout > 0 && c.requests < d.keepRequests && now.Sub(c.born) < d.keepTime
}

// evict removes c, which has ended or was kept for too long. It returns false if the lane does
// not have c any more.
func (l *lane) evict(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.remove(c)
}

// closeTo closes the kept connections to p.
func (l *lane) closeTo(p *peer) {
	for c := l.take(p, nil); c != nil; c = l.take(p, nil) {
		c.close()
	}
}

func (l *lane) close() {
	l.mu.Lock()
	var mine []*conn
	for l.closed = true; l.kept.oldest != nil; {
		c := l.kept.oldest
		l.kept.remove(c)
		if c.claim() {
			mine = append(mine, c)
		}
	}
	l.mu.Unlock()
	for _, c := range mine {
		c.close()
	}
}

// connList is a list of kept connections, in the order in which they came. Each call takes
// the same time, however many there are: an origin that ends ends all its connections.
type connList struct {
	oldest, newest *conn
	count          int
}

// add adds c, which is in no list.
func (l *connList) add(c *conn) {
	c.listed, c.older, c.newer = true, l.newest, nil
	if l.newest != nil {
		l.newest.newer = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.count++
}

// remove takes c out. It returns false if c is not in the list.
func (l *connList) remove(c *conn) bool {
	if !c.listed {
		return false
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		l.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		l.newest = c.older
	}
	c.listed, c.older, c.newer = false, nil, nil
	l.count--
	return true
}
