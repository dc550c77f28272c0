package proxypass

import (
	"cmp"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// method chooses a member for a request: among the backups if backup is set, otherwise among
// the others. It returns nil if none of them can take the request. The roster's lock is held.
type method func(r *roster, sel *selection, backup bool, now time.Time) *member

// selection has what the choice of a peer needs to know of a request.
type selection struct {
	tried []*peer // have failed for this request
	hint  string  // of sticky: the sid of the peer that the request is bound to; "": none
	bound *member // the member with this sid, while a member is chosen; nil: none can take it
	key   []byte  // of ip_hash and hash
	hash  uint32  // the hash of key; of a ring: the index of a point
	round int     // of hashing: how many hashes were computed
	tries int     // of hashing and random: how many members could not take the request
}

// reset makes the selection ready for another request.
func (sel *selection) reset() {
	clear(sel.tried)
	*sel = selection{tried: sel.tried[:0], key: sel.key[:0]}
}

// maxTries is how many members hashing and random try before the members take turns, as in
// nginx.
const maxTries = 20

// roundRobin is the method of groups without a directive for one.
func roundRobin(r *roster, sel *selection, backup bool, now time.Time) *member {
	return r.turn(sel, backup, now, nil)
}

// cost returns the value that least_conn and least_time compare, in proportion to weight.
type cost func(m *member, now time.Time) int

// least returns the method that chooses the member of the least cost. Members of equal cost
// take turns.
func least(of cost) method {
	return func(r *roster, sel *selection, backup bool, now time.Time) *member {
		if sel.bound != nil {
			return sel.bound
		}
		var best *member
		var bestCost, bestShare int
		equals := false
		for _, m := range r.members {
			if m.backup != backup || !m.available(sel, now) {
				continue
			}
			c, share := of(m, now), m.slowed(now)
			switch mine, others := c*bestShare, bestCost*share; {
			case best == nil || mine < others:
				best, bestCost, bestShare, equals = m, c, share, false
			case mine == others:
				equals = true
			}
		}
		if !equals {
			return best
		}
		return r.turn(sel, backup, now, func(m *member) bool { return of(m, now)*bestShare == bestCost*m.slowed(now) })
	}
}

func connections(m *member, _ time.Time) int { return m.conns }

// Times of least_time are counted in steps, so that members which are about equally fast take
// turns. Longer times count as the longest.
const (
	timeStep    = 20 * time.Millisecond
	longestTime = 5 * time.Second
)

// expected returns the cost of least_time: the time that the member takes for its requests
// and one more. A member that has had no request for long gets another chance: its time is
// halved for each fail_timeout and a second.
func expected(atHead, inFlight bool) cost {
	return func(m *member, now time.Time) int {
		t := m.whole
		if atHead {
			t = m.header
		}
		if idle := now.Sub(m.checked); idle > m.failTimeout {
			t >>= min(idle/(m.failTimeout+time.Second), 62)
		}
		if inFlight && m.flying > 0 {
			t = max(t, now.Sub(m.born)-m.begun/time.Duration(m.flying))
		}
		steps := int(min(t, longestTime) / timeStep)
		return (steps + 1) * (1 + m.conns)
	}
}

// random returns the method that chooses a random member, in proportion to weight. With of it
// chooses the one of less cost of two random members.
func random(of cost) method {
	return func(r *roster, sel *selection, backup bool, now time.Time) *member {
		if sel.bound != nil {
			return sel.bound
		}
		var first *member
		for total := r.weights(); !backup && total > 0 && sel.tries <= maxTries; sel.tries++ {
			m := r.byWeight(rand.IntN(total))
			switch {
			case m == first || !m.available(sel, now):
				continue
			case of == nil:
				return m
			case first == nil:
				first = m
				continue
			case of(m, now)*first.weight > of(first, now)*m.weight:
				return first
			}
			return m
		}
		return roundRobin(r, sel, backup, now)
	}
}

// weights returns the sum of the weights of the members that are not backups.
func (r *roster) weights() (sum int) {
	for _, m := range r.members {
		if !m.backup {
			sum += m.weight
		}
	}
	return sum
}

// byWeight returns a member for w, which is less than weights: the weights of the members
// that are not backups, one after the other, cover the numbers from 0.
func (r *roster) byWeight(w int) *member {
	for _, m := range r.members {
		if m.backup {
			continue
		}
		if w < m.weight {
			return m
		}
		w -= m.weight
	}
	return nil // not reached, as w is less than weights
}

// hashed returns the method of ip_hash and hash: next computes the next hash of the key.
func hashed(next func(sel *selection)) method {
	return func(r *roster, sel *selection, backup bool, now time.Time) *member {
		if sel.bound != nil {
			return sel.bound
		}
		for total := r.weights(); !backup && total > 0 && len(sel.key) > 0 && sel.tries <= maxTries; sel.tries++ {
			next(sel)
			if m := r.byWeight(int(sel.hash % uint32(total))); m.available(sel, now) {
				return m
			}
		}
		return roundRobin(r, sel, backup, now)
	}
}

// The parameters of nginx's hash for ip_hash.
const (
	addressSeed    = 89
	addressFactor  = 113
	addressModulus = 6271
)

// nextOfAddress computes nginx's hash of a client's address.
func nextOfAddress(sel *selection) {
	if sel.round++; sel.round == 1 {
		sel.hash = addressSeed
	}
	for _, b := range sel.key {
		sel.hash = (sel.hash*addressFactor + uint32(b)) % addressModulus
	}
}

// nextOfKey computes nginx's hash of a key, which is that of Perl's Cache::Memcached.
func nextOfKey(sel *selection) {
	var sum uint32
	if sel.round > 0 {
		var number [20]byte
		sum = crc32.ChecksumIEEE(strconv.AppendInt(number[:0], int64(sel.round), 10))
	}
	sum = crc32.Update(sum, crc32.IEEETable, sel.key)
	sel.hash += sum >> 16 & 0x7fff
	sel.round++
}

// ring is the table of "hash KEY consistent": the points of all servers, sorted by hash. It is
// that of ketama, with 160 points for each unit of weight, as in nginx and Perl's
// Cache::Memcached::Fast.
type ring []point

type point struct {
	hash   uint32
	server string // the server's address as written in the configuration
}

const pointsPerWeight = 160

func newRing(peers []*peer) ring {
	var all ring
	for _, p := range peers {
		if p.backup {
			continue
		}
		host, port := p.text, ""
		if path, ok := strings.CutPrefix(host, "unix:"); ok {
			host = path
		} else if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
			host, port = host[:i], host[i+1:]
		}
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		var last [4]byte
		for range p.weight * pointsPerWeight {
			h := crc32.Update(base, crc32.IEEETable, last[:])
			last = [4]byte{byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24)}
			all = append(all, point{h, p.text})
		}
	}
	slices.SortStableFunc(all, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	return slices.CompactFunc(all, func(a, b point) bool { return a.hash == b.hash })
}

// place returns the index of the first point whose hash is not less than hash; len(g) if
// there is none.
func (g ring) place(hash uint32) int {
	i, _ := slices.BinarySearchFunc(g, hash, func(p point, h uint32) int { return cmp.Compare(p.hash, h) })
	return i
}

// choose is the method of "hash KEY consistent". The addresses of a server take turns.
func (g ring) choose(r *roster, sel *selection, backup bool, now time.Time) *member {
	if sel.bound != nil {
		return sel.bound
	}
	if sel.round++; sel.round == 1 {
		sel.hash = uint32(g.place(crc32.ChecksumIEEE(sel.key)))
	}
	for ; !backup && len(g) > 0 && len(sel.key) > 0 && sel.tries <= maxTries; sel.tries++ {
		server := g[int(sel.hash)%len(g)].server
		m := r.turn(sel, false, now, func(m *member) bool { return m.text == server })
		if m != nil {
			return m
		}
		sel.hash++
	}
	return roundRobin(r, sel, backup, now)
}
