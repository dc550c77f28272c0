package limit

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// zone is a limit_req_zone of one configuration. Its states outlive the configuration.
type zone struct {
	name    string
	keyText string
	key     *proxy.Template
	rate    int64 // thousandths of a request per second
	states  *states
}

// zones are the zones of a configuration, by name.
type zones struct{ byName map[string]*zone }

func newZones() *zones { return &zones{map[string]*zone{}} }

func (z *zones) find(name string, pos config.Pos) (*zone, error) {
	if found := z.byName[name]; found != nil {
		return found, nil
	}
	names := make([]string, 0, len(z.byName))
	for n := range z.byName {
		names = append(names, n)
	}
	e := &config.Error{Pos: pos, Msg: fmt.Sprintf("unknown limit_req_zone %q", name)}
	if near := config.Nearest(name, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, e
}

// unbounded is a burst that refuses nothing, or a delay that delays nothing.
const unbounded = math.MaxInt64

// ask returns the excess that a request would have. It does not count the request.
func (z *zone) ask(h hash) int64 {
	sh := z.states.shard(h)
	now := z.states.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, ok := sh.index[h]
	if !ok {
		return 0
	}
	sh.touch(i)
	excess, _ := z.excess(&sh.list[i], now)
	return excess
}

// count returns the excess of a request. It counts the request, and returns true, unless the
// excess is above burst.
func (z *zone) count(h hash, burst int64) (int64, bool) {
	sh := z.states.shard(h)
	now := z.states.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, ok := sh.index[h]
	if !ok {
		sh.add(h, now)
		return 0, true
	}
	sh.touch(i)
	st := &sh.list[i]
	excess, ms := z.excess(st, now)
	if excess > burst {
		return excess, false
	}
	st.excess = excess
	if ms > 0 {
		st.last = now
	}
	return excess, true
}

// excess returns the excess of a request at now, computed as nginx does. ms is the time since
// the last request.
func (z *zone) excess(st *state, now int64) (excess, ms int64) {
	ms = max(now-st.last, 0)
	leaked := z.rate * min(ms, math.MaxInt64/z.rate) / 1000
	return max(st.excess-leaked+1000, 0), ms
}

// states are the states of a zone's keys, in shards that each have a lock.
type states struct {
	seeds  [2]maphash.Seed
	start  time.Time
	shards []shard
}

// stateSize is how many bytes of a zone's size one state takes. It is nginx's number for 64
// bits, and more than a state and its share of the map need here.
const stateSize = 128

// A shard has room for statesPerShard states or more, if the zone has, so that it is not
// full by chance while others are empty. More shards than maxShards make nothing faster.
const (
	statesPerShard = 1024
	maxShards      = 16
)

func newStates(size int64) *states {
	n := min(size/stateSize, math.MaxInt32)
	shards := min(max(n/statesPerShard, 1), maxShards)
	s := &states{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, start: time.Now(), shards: make([]shard, shards)}
	for i := range s.shards {
		s.shards[i] = shard{max: int(n / shards), index: map[hash]int32{}, newest: none, oldest: none}
	}
	return s
}

// now returns the time since s was made, in milliseconds.
func (s *states) now() int64 { return time.Since(s.start).Milliseconds() }

// hash represents a key. Its seeds are secret, so that no client can choose keys with the
// same hash.
type hash [16]byte

func (s *states) hash(key []byte) (h hash) {
	binary.LittleEndian.PutUint64(h[:8], maphash.Bytes(s.seeds[0], key))
	binary.LittleEndian.PutUint64(h[8:], maphash.Bytes(s.seeds[1], key))
	return h
}

func (s *states) shard(h hash) *shard { return &s.shards[int(h[0])%len(s.shards)] }

// shard is a table of at most max states, linked in the order of their last use.
type shard struct {
	mu             sync.Mutex
	index          map[hash]int32
	list           []state
	newest, oldest int32
	max            int
	_              [64]byte // keeps the locks of two shards in different cache lines
}

// none is the index of no state.
const none = -1

type state struct {
	key          hash
	excess       int64
	last         int64 // when a request was last counted, by states.now
	newer, older int32
}

// add makes a state for the first request of a key. In a full shard it replaces the oldest
// state.
func (sh *shard) add(h hash, now int64) {
	var i int32
	if len(sh.list) < sh.max {
		i = int32(len(sh.list))
		sh.list = append(sh.list, state{})
	} else {
		i = sh.oldest
		delete(sh.index, sh.list[i].key)
		sh.unlink(i)
	}
	sh.list[i] = state{key: h, last: now}
	sh.index[h] = i
	sh.link(i)
}

// touch makes state i the newest.
func (sh *shard) touch(i int32) {
	if sh.newest != i {
		sh.unlink(i)
		sh.link(i)
	}
}

func (sh *shard) link(i int32) {
	st := &sh.list[i]
	st.newer, st.older = none, sh.newest
	if sh.newest == none {
		sh.oldest = i
	} else {
		sh.list[sh.newest].newer = i
	}
	sh.newest = i
}

func (sh *shard) unlink(i int32) {
	st := &sh.list[i]
	if st.newer == none {
		sh.newest = st.older
	} else {
		sh.list[st.newer].older = st.older
	}
	if st.older == none {
		sh.oldest = st.newer
	} else {
		sh.list[st.older].newer = st.newer
	}
}
