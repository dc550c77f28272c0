package static

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// openCache is an open_file_cache directive: the names of recent requests, each with a
// snapshot. As in nginx it lives as long as its Generation, so that a reload begins with an
// empty one.
//
// A hit takes no lock. It writes to no memory that processors share, except a descriptor's
// count of holders. A bucket is a chain of nodes, which readers follow while the holder of mu
// inserts and removes nodes. A node's snapshot is replaced as a whole. Everything else is
// done with mu, which is never held during a call of the system.
type openCache struct {
	max      int
	inactive time.Duration
	memory   *memory // the memory for blocks without open_file_cache_memory

	born    time.Time
	seed    maphash.Seed
	buckets []atomic.Pointer[node]
	sweepAt atomic.Int64 // when to search for inactive nodes next

	mu     sync.Mutex
	count  int
	list   node // a ring: after is the node queued last, before the one queued first
	closed bool
}

// node is one name in the cache. Times are nanoseconds since the cache was made.
type node struct {
	name  string
	hash  uint64
	links linkRule
	next  atomic.Pointer[node] // in its bucket
	snap  atomic.Pointer[snapshot]
	used  atomic.Int64 // when a request last used it, exact to usedStep
	tried atomic.Int64 // when memory last had no room for its file

	// The cache's mu guards these.
	before, after *node // in the ring
	queued        int64 // when it was put at the end of the ring
	uses          int   // how often its file was opened
	gone          bool  // it was removed
}

const (
	maxBuckets = 1 << 16
	// usedStep is the least time between two writes of node.used, so that few hits write.
	usedStep = int64(50 * time.Millisecond)
	// busy is how long after its last use a file stays in memory even if another one needs
	// room. It is also the time between two attempts to put a file into memory.
	busy = int64(time.Second)
)

func newOpenCache(limit int, inactive time.Duration) *openCache {
	c := &openCache{max: limit, inactive: inactive, born: time.Now(), seed: maphash.MakeSeed(),
		memory: &memory{max: defaultMemory, file: defaultMemoryFile}}
	c.buckets = make([]atomic.Pointer[node], min(1<<bits.Len(uint(limit)), maxBuckets))
	c.list.before, c.list.after = &c.list, &c.list
	c.sweepAt.Store(c.sweepStep())
	return c
}

// cacheUse is the settings of a block for its cache.
type cacheUse struct {
	cache   *openCache // nil: open_file_cache off
	valid   time.Duration
	minUses int
	errors  bool
	memory  *memory // nil: the one of the cache
}

func (c *openCache) now() int64 { return int64(time.Since(c.born)) }

func (c *openCache) bucket(hash uint64) *atomic.Pointer[node] {
	return &c.buckets[hash&uint64(len(c.buckets)-1)]
}

func (c *openCache) find(name []byte, links linkRule) *node {
	hash := maphash.Bytes(c.seed, name)
	for n := c.bucket(hash).Load(); n != nil; n = n.next.Load() {
		if n.hash == hash && n.links == links && n.name == string(name) {
			return n
		}
	}
	return nil
}

// open opens the file that lk names, from the cache or from the system. The error is the
// system's, perhaps one that the cache has kept.
func (c *openCache) open(lk *lookup, u *cacheUse) error {
	now := c.now()
	if now > c.sweepAt.Load() {
		c.sweep(now)
	}
	n := c.find(lk.key(), lk.links)
	if n == nil {
		return c.read(lk, u, now, nil, nil)
	}
	if now-n.used.Load() > usedStep {
		n.used.Store(now)
	}
	s := n.snap.Load()
	if s == nil || now-s.checked.Load() >= int64(u.valid) && !s.recheck(lk, now) || !s.give(lk) {
		return c.read(lk, u, now, n, s)
	}
	if s.open != nil && u.memory.suits(s) {
		return c.remember(lk, u, now, n, s)
	}
	return s.err
}

// read opens the file without the cache, and keeps the result in n in place of old.
func (c *openCache) read(lk *lookup, u *cacheUse, now int64, n *node, old *snapshot) error {
	err := lk.openName()
	if err != nil && (!u.errors || !lasting(err)) {
		c.drop(n)
		return err
	}
	if err == nil && !lk.file.isRegular() && !lk.file.isDir() {
		c.drop(n) // a pipe must not be kept open
		return nil
	}
	s := newSnapshot(lk, lk.table, err)
	s.checked.Store(now)
	c.keep(lk, u, now, n, old, s)
	return err
}

// keep puts s into n, unless n does not have old any more, or too few requests have asked for
// the file. If n is nil it makes a node for the name.
func (c *openCache) keep(lk *lookup, u *cacheUse, now int64, n *node, old, s *snapshot) {
	c.mu.Lock()
	var evicted *snapshot
	if n == nil {
		if c.closed || c.find(lk.key(), lk.links) != nil {
			c.mu.Unlock()
			return
		}
		if c.count >= c.max {
			evicted = c.remove(c.coldest())
		}
		n = c.insert(lk, now)
	}
	n.uses++
	kept := !n.gone && n.snap.Load() == old && (s.open == nil || old != nil || n.uses >= u.minUses)
	if kept {
		if s.open != nil {
			s.open.hold()
		}
		n.snap.Store(s)
	}
	c.mu.Unlock()
	if evicted != nil {
		evicted.release()
	}
	switch {
	case kept && old != nil:
		old.release()
	case !kept && s.memory != nil:
		s.memory.free(s.id.size)
	}
}

// remember reads the file that lk has open into memory, if there is room.
func (c *openCache) remember(lk *lookup, u *cacheUse, now int64, n *node, s *snapshot) error {
	if tried := n.tried.Load(); tried != 0 && now-tried < busy {
		return nil
	}
	if m := u.memory; !m.reserve(s.id.size) && !(c.makeRoom(m, s.id.size, now) && m.reserve(s.id.size)) {
		n.tried.Store(now)
		return nil
	}
	content, ok := s.readWhole(lk)
	if !ok {
		u.memory.free(s.id.size)
		lk.close()
		return c.read(lk, u, now, n, s)
	}
	lk.file.content = content
	c.keep(lk, u, now, n, s, s.remembered(content, u.memory))
	return nil
}

// makeRoom drops files that are not busy from m, until m has room for n bytes. It reports
// whether there is room.
func (c *openCache) makeRoom(m *memory, n, now int64) bool {
	const most = 64 // nodes to look at
	if n > m.max {
		return false
	}
	var dropped []*snapshot
	c.mu.Lock()
	room := m.max - m.used.Load()
	at := c.coldest()
	for i := 0; i < most && room < n && at != &c.list; i++ {
		next := at.before
		if s := at.snap.Load(); s != nil && s.memory == m && now-at.used.Load() > busy {
			room += s.id.size
			dropped = append(dropped, c.remove(at))
		}
		at = next
	}
	c.mu.Unlock()
	for _, s := range dropped {
		s.release()
	}
	return room >= n
}
