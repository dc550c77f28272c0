package proxypass

import (
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// method chooses a member for a request among those that are backups, or those that are
// not; nil where none of them can take it. The roster's lock is held.
type method func(r *roster, sel *selection, backup bool, now time.Time) *member

// selection is what a request brings for the choice of its peer.
type selection struct {
	tried []*peer // they have failed
	hint  string  // of sticky: whom the request is bound to; "": nobody
	bound *member // the same, while a member is chosen
	key   []byte  // of ip_hash and hash
	hash  uint32  // of it; with a ring: the place there
	round int     // of hashing: how often it was done
	tries int     // of hashing and of random: how many members could not take the request
}

// reset makes the selection one of another request.
func (sel *selection) reset() {
	clear(sel.tried)
	*sel = selection{tried: sel.tried[:0], key: sel.key[:0]}
}

// maxTries is how many members that a hash or chance names are looked at before the
// members take turns, as in nginx.
const maxTries = 20

// roundRobin is the method of groups that name none.
func roundRobin(r *roster, sel *selection, backup bool, now time.Time) *member {
	return r.turn(sel, backup, now, nil)
}

// cost is what least_conn and least_time compare, in proportion to weight.
type cost func(m *member, now time.Time) int

// least is the method that chooses the member of the least cost. Those of equal cost take
// turns.
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

// Times of least_time that differ by less than a step count as equal, so that members
// which are about as fast take turns; those longer than the longest all count as slow.
const (
	timeStep    = 20 * time.Millisecond
	longestTime = 5 * time.Second
)

// expected is the cost of least_time: how long the member takes for what it works on, and
// one request more. A member that was not asked for long gets another chance: its time
// counts half after each fail_timeout.
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

// random chooses by chance; of two that chance names the one of the least cost, where of
// is set.
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

// weights returns the sum of the weights of the members that are no backups.
func (r *roster) weights() (sum int) {
	for _, m := range r.members {
		if !m.backup {
			sum += m.weight
		}
	}
	return sum
}

// byWeight returns the member in whose part of all weights w is. Backups have none.
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
	return nil // w is less than all weights
}

// hashed is the method of ip_hash and hash: next makes the next hash of the key.
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

// The hash of ip_hash.
const (
	addressSeed    = 89
	addressFactor  = 113
	addressModulus = 6271
)

// nextOfAddress makes nginx's hash of a client's address.
func nextOfAddress(sel *selection) {
	if sel.round++; sel.round == 1 {
		sel.hash = addressSeed
	}
	for _, b := range sel.key {
		sel.hash = (sel.hash*addressFactor + uint32(b)) % addressModulus
	}
}

// nextOfKey makes nginx's hash of a key, which is that of Perl's Cache::Memcached.
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

// ring is where "hash KEY consistent" finds servers: the points of all of them, by hash.
// It is that of ketama with 160 points for each unit of weight, as nginx and Perl's
// Cache::Memcached::Fast have it.
type ring []point

type point struct {
	hash   uint32
	server string // as the configuration has it
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
	slices.SortStableFunc(all, func(a, b point) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	return slices.CompactFunc(all, func(a, b point) bool { return a.hash == b.hash })
}

// place returns the first point at hash or behind it.
func (g ring) place(hash uint32) int {
	i, _ := slices.BinarySearchFunc(g, hash, func(p point, h uint32) int {
		switch {
		case p.hash < h:
			return -1
		case p.hash > h:
			return 1
		}
		return 0
	})
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
