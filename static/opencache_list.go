package static

import (
	"hash/maphash"
	"time"
)

// insert makes a node for lk's name, at the end of the queue. The caller holds mu.
func (c *openCache) insert(lk *lookup, now int64) *node {
	n := &node{name: string(lk.key()), hash: maphash.Bytes(c.seed, lk.key()), links: lk.links, queued: now}
	n.used.Store(now)
	b := c.bucket(n.hash)
	n.next.Store(b.Load())
	b.Store(n)
	c.queue(n)
	c.count++
	return n
}

func (c *openCache) queue(n *node) {
	n.before, n.after = &c.list, c.list.after
	n.before.after, n.after.before = n, n
}

func (n *node) unqueue() { n.before.after, n.after.before = n.after, n.before }

// remove removes n and returns its snapshot, which the caller releases after it has released
// mu. Readers that are at n still find the rest of its bucket.
func (c *openCache) remove(n *node) *snapshot {
	at := c.bucket(n.hash)
	for at.Load() != n {
		at = &at.Load().next
	}
	at.Store(n.next.Load())
	n.unqueue()
	n.gone = true
	c.count--
	return n.snap.Swap(nil)
}

// coldest returns the node that was not used for the longest time. As hits do not change the
// queue, coldest queues those nodes again that were used since they were queued. The caller
// holds mu, and there is at least one node.
func (c *openCache) coldest() *node {
	for range c.count {
		n := c.list.before
		used := n.used.Load()
		if used <= n.queued {
			break
		}
		n.queued = used
		n.unqueue()
		c.queue(n)
	}
	return c.list.before
}

// drop removes n, if it is still in the cache.
func (c *openCache) drop(n *node) {
	if n == nil {
		return
	}
	c.mu.Lock()
	var s *snapshot
	if !n.gone {
		s = c.remove(n)
	}
	c.mu.Unlock()
	if s != nil {
		s.release()
	}
}

// sweepStep is the time between two searches for inactive nodes, in nanoseconds.
func (c *openCache) sweepStep() int64 { return int64(max(c.inactive/4, 100*time.Millisecond)) }

// sweep removes the nodes that were not used for the inactive time. One request in each
// sweepStep does so. Without requests everything stays, as in nginx.
func (c *openCache) sweep(now int64) {
	if at := c.sweepAt.Load(); now <= at || !c.sweepAt.CompareAndSwap(at, now+c.sweepStep()) {
		return
	}
	c.removeAll(func(n *node) bool { return now-n.used.Load() > int64(c.inactive) })
}

// close releases all files. Requests that still run keep theirs, and open others without the
// cache.
func (c *openCache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.removeAll(func(*node) bool { return true })
}

func (c *openCache) removeAll(which func(n *node) bool) {
	var dropped []*snapshot
	c.mu.Lock()
	for n := c.list.before; n != &c.list; {
		next := n.before
		if which(n) {
			if s := c.remove(n); s != nil {
				dropped = append(dropped, s)
			}
		}
		n = next
	}
	c.mu.Unlock()
	for _, s := range dropped {
		s.release()
	}
}
