package proxypass

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"alicorn/config"
)

// GroupStatus is the state of a group's peers.
type GroupStatus struct {
	Name     string // of the upstream block, or the address that a proxy_pass names
	Protocol string // the family of directives that pass requests to it, such as "uwsgi"
	TLS      bool   // its servers are reached by TLS
	Queue    int    // the number of requests that wait for a peer
	Peers    []PeerStatus
	// Lookups are why the names of servers with resolve cannot be looked up at present.
	Lookups []string
}

// PeerStatus is the state of a peer.
type PeerStatus struct {
	Address  string
	State    PeerState
	Backup   bool
	Weight   int
	Requests uint64        // the number of tries
	Failures uint64        // the number of tries that failed, as max_fails counts them
	Active   int           // the number of requests that it works on
	Idle     int           // the number of kept connections to it
	Header   time.Duration // the average time until the head of an answer has come; 0: none has
	Response time.Duration // the average time until all of an answer has come; 0: none has
	Ended    time.Time     // when the last request to it was answered or has failed; zero: none was
	Why      string        // why that request has failed; "": it has not
	Row      int           // how many requests in a row have failed since one was answered
}

// PeerState says which requests a peer gets.
type PeerState string

// The states.
const (
	PeerUp       PeerState = "up"
	PeerDown     PeerState = "down"     // marked down
	PeerDraining PeerState = "draining" // marked drain
	PeerResting  PeerState = "resting"  // it has failed max_fails times
	PeerFull     PeerState = "full"     // it works on max_conns requests

	PeerUnhealthy PeerState = "unhealthy" // a health_check has failed
)

// Statuses returns the states of the groups that r holds, by name.
func Statuses(r *config.Resources) (all []GroupStatus) {
	r.Each(func(_ string, value any) {
		if g, ok := value.(*Group); ok && !g.named {
			all = append(all, g.Status(time.Now()))
		}
	})
	slices.SortFunc(all, func(a, b GroupStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol))
	})
	return all
}

// Status returns the state of g's peers, in the order of the configuration.
func (g *Group) Status(now time.Time) GroupStatus {
	st := GroupStatus{Name: g.name, Lookups: g.naming.failures()}
	st.Protocol, _, st.TLS = strings.Cut(g.protocol, keyOfTLS)
	peers := g.current()
	for _, p := range peers {
		st.Peers = append(st.Peers, PeerStatus{Address: p.name, State: PeerUp, Backup: p.backup, Weight: p.weight})
	}
	var last *roster
	for i := range g.lanes {
		l := &g.lanes[i]
		if l.roster != last { // lanes may share one roster
			l.roster.addTo(&st, peers, now)
			last = l.roster
		}
		l.addIdle(peers, st.Peers)
	}
	return st
}

// addTo adds the counts and states of r's members.
func (r *roster) addTo(st *GroupStatus, peers []*peer, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st.Queue += r.waiting.Len()
	for _, m := range r.members {
		i := slices.Index(peers, m.peer)
		if i < 0 {
			continue
		}
		p := &st.Peers[i]
		p.Header, p.Response = mean(p.Header, p.Requests, m.header, m.requests), mean(p.Response, p.Requests, m.whole, m.requests)
		p.Requests += m.requests
		p.Failures += m.failures
		p.Active += m.conns
		p.Row += m.row
		if m.ended.After(p.Ended) {
			p.Ended, p.Why = m.ended, m.why
		}
		switch {
		case m.down:
			p.State = PeerDown
		case m.sick.Load() > 0:
			p.State = PeerUnhealthy
		case m.drain:
			p.State = PeerDraining
		case len(r.members) > 1 && m.rests(now):
			p.State = PeerResting
		case p.State == PeerUp && m.full():
			p.State = PeerFull
		}
	}
}

// mean returns the mean of the averages a of n requests and b of m requests. An average of 0
// is left out.
func mean(a time.Duration, n uint64, b time.Duration, m uint64) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return time.Duration((float64(a)*float64(n) + float64(b)*float64(m)) / float64(n+m))
}

// addIdle adds the connections that l keeps.
func (l *lane) addIdle(peers []*peer, st []PeerStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := l.kept.oldest; c != nil; c = c.newer {
		if i := slices.Index(peers, c.peer); i >= 0 {
			st[i].Idle++
		}
	}
}
