package proxypass

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// roster has the peers of a group as balancing sees them: their turns, failures and requests.
// Each lane has a roster of its own, as each of nginx's workers has its own state of a group
// without a zone. A group with a zone, or with a setting that needs the counts of all lanes,
// has one roster for all lanes.
type roster struct {
	mu       sync.Mutex
	members  []*member
	method   method
	inFlight bool // count requests in flight

	waiting list.List // of *waiter, the oldest first
	room    int       // the largest number of waiters; 0: there is no queue
}

// member is a peer in a roster.
type member struct {
	*peer

	// Of round robin:
	current   int // the current weight
	effective int // the share, reduced after failures

	// Of failures and slow_start:
	fails      int
	failed     time.Time // when it failed last
	checked    time.Time // when it failed, or was tried again after that
	recovering time.Time // when slow_start began; zero: it has its whole share

	// Of the load:
	conns  int           // the number of requests that it works on
	header time.Duration // the average time until the head of an answer
	whole  time.Duration // the average time until all of an answer
	flying int           // the number of requests that wait for their answer, or for its head
	begun  time.Duration // the sum of the times, since born, at which these began
	born   time.Time

	// For Status:
	requests uint64
	failures uint64

	ended time.Time // when a request has ended last that says something of it
	why   string    // that request has failed; "": it has not
	row   int       // how many have failed since one was answered
}

// outcome is the result of a try for the peer.
type outcome uint8

const (
	undecided outcome = iota // nothing is known: the client has left, or a kept connection was closed
	answered
	declined // an answer after which another peer is tried, but which is not a failure of this one
	failed
)

func newRoster(g *Group) *roster { return rosterFor(g, g.peers) }

// rosterFor returns a roster of these peers.
func rosterFor(g *Group, peers []*peer) *roster {
	r := &roster{method: g.method, inFlight: g.balance.inFlight, room: g.queue}
	now := time.Now()
	for _, p := range peers {
		r.members = append(r.members, &member{peer: p, effective: p.share, born: now})
	}
	return r
}

// replace makes new requests go to these peers. A peer that there was before keeps its member.
func (r *roster) replace(peers []*peer, by method) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	members := make([]*member, len(peers))
	for i, p := range peers {
		if j := slices.IndexFunc(r.members, func(m *member) bool { return m.peer == p }); j >= 0 {
			members[i] = r.members[j]
		} else {
			members[i] = &member{peer: p, effective: p.share, born: now}
		}
	}
	r.members, r.method = members, by
	for range r.waiting.Len() {
		r.serve(now)
	}
}

// tries returns how many peers a request may be sent to: those not marked down, at least one.
func (r *roster) tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, m := range r.members {
		if !m.down {
			n++
		}
	}
	return max(n, 1)
}

// choose returns the member for a request, and counts the request there. It returns nil if no
// member can take it now, or if others wait for a member.
func (r *roster) choose(sel *selection, now time.Time) *member {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Len() > 0 {
		return nil
	}
	return r.take(sel, now)
}

// take is choose that does not look at the queue. r.mu is held.
func (r *roster) take(sel *selection, now time.Time) *member {
	m := r.find(sel, now)
	if m != nil {
		m.conns++
		m.requests++
		if r.inFlight {
			m.flying++
			m.begun += now.Sub(m.born)
		}
		if now.Sub(m.checked) > m.failTimeout {
			m.checked = now
		}
	}
	return m
}

// find returns the member for a request; nil: none can take it. A member that has failed
// max_fails times rests for fail_timeout. Backups get requests if no other member can take
// them. If no backup can, either, the member gets the request that has rested longest: it may
// have recovered, and otherwise the answer would be 502, as it is in nginx. A single peer
// never rests.
func (r *roster) find(sel *selection, now time.Time) *member {
	if len(r.members) == 1 {
		if m := r.members[0]; m.open(sel) {
			return m
		}
		return nil
	}
	for _, backup := range [...]bool{false, true} {
		sel.bound = r.boundTo(sel, backup, now)
		if m := r.method(r, sel, backup, now); m != nil {
			return m
		}
	}
	return r.longestResting(sel)
}

// longestResting returns the member that has rested longest, of those that are open.
func (r *roster) longestResting(sel *selection) *member {
	var best *member
	for _, m := range r.members {
		if m.open(sel) && (best == nil || m.checked.Before(best.checked)) {
			best = m
		}
	}
	return best
}

// boundTo returns the member that sticky binds the request to; nil: there is none, or it
// cannot take the request.
func (r *roster) boundTo(sel *selection, backup bool, now time.Time) *member {
	if sel.hint == "" {
		return nil
	}
	for _, m := range r.members {
		if m.backup == backup && m.sid == sel.hint && m.available(sel, now) {
			return m
		}
	}
	return nil
}

// turn is smooth weighted round robin among the members that can take the request, are backups
// or not as backup says, and for which among, if it is not nil, returns true. All gain their
// share, the member with the largest current weight is chosen, and the sum of the gains is
// subtracted from its weight. A member that the request is bound to is chosen in any case, and
// the sum is subtracted there, too, until its weight is the negative shares of all others. So
// the others get more of the requests that are not bound.
func (r *roster) turn(sel *selection, backup bool, now time.Time, among func(m *member) bool) *member {
	bound := sel.bound
	if bound != nil && bound.current <= -r.sharesBeside(bound) {
		return bound
	}
	var best *member
	total := 0
	for _, m := range r.members {
		if m.backup != backup || !m.available(sel, now) || among != nil && !among(m) {
			continue
		}
		w := m.gain(now)
		m.current += w
		total += w
		m.recover()
		if best == nil || m.current > best.current {
			best = m
		}
	}
	if bound != nil {
		best = bound
	}
	if best != nil {
		best.current -= total
	}
	return best
}

// sharesBeside returns the sum of the shares of all other members that are backups or not, as
// m.
func (r *roster) sharesBeside(m *member) int {
	sum := -m.share
	for _, o := range r.members {
		if o.backup == m.backup {
			sum += o.share
		}
	}
	return sum
}

// available reports whether m can take a request of sel.
func (m *member) available(sel *selection, now time.Time) bool { return m.open(sel) && !m.rests(now) }

// open is available without regard to resting after failures.
func (m *member) open(sel *selection) bool { return m.serves(sel) && !m.full() }

// serves is open without regard to max_conns.
func (m *member) serves(sel *selection) bool {
	return !m.down && m.sick.Load() == 0 && (!m.drain || sel.hint != "" && sel.hint == m.sid) && !slices.Contains(sel.tried, m.peer)
}

func (m *member) full() bool { return m.maxConns > 0 && m.conns >= m.maxConns }

func (m *member) rests(now time.Time) bool {
	return m.maxFails > 0 && m.fails >= m.maxFails && now.Sub(m.checked) <= m.failTimeout
}

// gain returns what m gains in a turn: its share, reduced after failures and by slow_start.
func (m *member) gain(now time.Time) int { return min(m.effective, m.slowed(now)) }

// slowed returns m's share. During slow_start it grows from 1 to the whole share.
func (m *member) slowed(now time.Time) int {
	if m.recovering.IsZero() {
		return m.share
	}
	since := now.Sub(m.recovering)
	if since >= m.slowStart {
		m.recovering = time.Time{}
		return m.share
	}
	return max(int(int64(m.share)*int64(since/time.Millisecond)/int64(max(m.slowStart/time.Millisecond, 1))), 1)
}

// recover raises the effective share after failures by one step.
func (m *member) recover() {
	if m.effective < m.share {
		m.effective = min(m.effective+m.share/m.weight, m.share)
	}
}

// result is the result of a request to a peer.
type result struct {
	outcome outcome
	why     string // of one that has failed
	began   time.Time
	header  time.Duration // the time until the head of the answer had come; -1: it has not
	whole   time.Duration // the time until all of the answer had come; -1: it has not
	landed  bool          // land was called
}

// leave ends a request that take has counted. rests says that m begins to rest.
func (r *roster) leave(m *member, res result, now time.Time) (rests bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.conns--
	if r.inFlight && !res.landed {
		m.land(res.began)
	}
	if res.outcome != undecided {
		m.ended, m.why = now, res.why
	}
	switch res.outcome {
	case failed:
		m.failures++
		m.row++
		rests = m.fail(now) && len(r.members) > 1
	case answered, declined:
		m.row = 0
		if m.failed.Before(m.checked) {
			m.revive(now)
		}
		if res.outcome == answered {
			m.time(&res)
		}
	}
	if r.waiting.Len() > 0 {
		r.serve(now)
	}
	return rests
}

// land ends counting a request as in flight, because the head of its answer has come.
func (r *roster) land(m *member, began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.land(began)
}

func (m *member) land(began time.Time) {
	m.flying--
	m.begun -= began.Sub(m.born)
}

// time adds the times of an answer to the averages.
func (m *member) time(res *result) {
	if res.header >= 0 {
		m.header = average(m.header, res.header)
	}
	if res.whole >= 0 {
		m.whole = average(m.whole, res.whole)
	}
}

// fail counts a failure, and reports whether m rests now.
func (m *member) fail(now time.Time) bool {
	m.fails++
	m.failed, m.checked = now, now
	if m.maxFails == 0 {
		return false
	}
	m.effective = max(m.effective-m.share/m.maxFails, 0)
	return m.fails >= m.maxFails
}

// revive forgets failures. A member that has rested begins its slow_start.
func (m *member) revive(now time.Time) {
	if m.slowStart > 0 && m.maxFails > 0 && m.fails >= m.maxFails {
		m.recovering = now
	}
	m.fails = 0
}

// average returns the moving average after the time last: it counts for one eighth.
func average(old, last time.Duration) time.Duration {
	if old == 0 {
		return last
	}
	return old + (last-old)/8
}
