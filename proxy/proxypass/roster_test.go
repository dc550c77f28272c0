package proxypass

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// rosterOf returns a roster of servers.
func rosterOf(b balancing, servers ...server) *roster {
	g := &Group{definition: &definition{servers: servers, balance: b}}
	for i := range servers {
		sv := &g.servers[i]
		sv.weight, sv.failTimeout = max(sv.weight, 1), max(sv.failTimeout, 10*time.Second)
		g.peers = append(g.peers, g.newPeer(sv, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(i+1))))
	}
	g.method = b.method(g.peers)
	return newRoster(g)
}

// answer has m answer a request that it was given at the time began.
func (r *roster) answer(m *member, began time.Time, header, whole time.Duration) {
	r.leave(m, result{outcome: answered, began: began, header: header, whole: whole}, began.Add(whole))
}

// share counts how many of n requests each member gets that answers at once.
func (r *roster) share(n int, sel selection, now time.Time) []int {
	counts := make([]int, len(r.members))
	for range n {
		one := sel
		m := r.choose(&one, now)
		counts[r.index(m)]++
		r.leave(m, result{outcome: undecided, began: now, header: -1, whole: -1}, now)
	}
	return counts
}

func TestLeastTimeAsksTheFasterOne(t *testing.T) {
	now := time.Now()
	for _, atHead := range []bool{true, false} {
		r := rosterOf(balancing{name: "least_time", timed: true, atHead: atHead}, server{}, server{}, server{})
		header, whole := []time.Duration{300, 100, 102}, []time.Duration{400, 402, 700}
		for i, m := range r.members {
			m.conns, m.checked = 1, now
			r.answer(m, now, header[i]*time.Millisecond, whole[i]*time.Millisecond)
		}
		want := []int{50, 50, 0} // those about as fast take turns
		if atHead {
			want = []int{0, 50, 50}
		}
		if got := r.share(100, selection{}, now); !slices.Equal(got, want) {
			t.Errorf("at the head %v: %v, want %v", atHead, got, want)
		}
	}
}

func TestLeastTimeCountsWhatMembersWorkOn(t *testing.T) {
	r, now := rosterOf(balancing{name: "least_time", timed: true}, server{}, server{weight: 2}), time.Now()
	for i, m := range r.members {
		m.conns++
		r.answer(m, now, time.Millisecond, []time.Duration{100, 200}[i]*time.Millisecond)
	}
	counts := []int{0, 0}
	for range 30 { // none is answered
		counts[r.index(r.choose(&selection{}, now))]++
	}
	if counts[0] < 13 || counts[1] < 13 {
		t.Errorf("twice as slow with twice the weight: got %v, want at least 13 for each", counts)
	}
}

func TestLeastTimeGivesOneThatWasSlowAnotherChance(t *testing.T) {
	r, now := rosterOf(balancing{name: "least_time", timed: true}, server{}, server{}), time.Now()
	for i, m := range r.members {
		m = r.choose(&selection{tried: []*peer{r.members[1-i].peer}}, now)
		r.answer(m, now, 0, []time.Duration{1600, 30}[i]*time.Millisecond)
	}
	if got := r.share(10, selection{}, now.Add(5*time.Second)); got[0] != 0 {
		t.Errorf("at once: got %v, want 0 for the first", got)
	}
	later := now.Add(5 * time.Minute)
	r.members[1].checked = later
	if got := r.share(10, selection{}, later); got[0] == 0 {
		t.Errorf("after some minutes: got %v, want some for the first", got)
	}
}

func TestInFlightRequestsCountAsSlow(t *testing.T) {
	now := time.Now()
	for _, inFlight := range []bool{false, true} {
		r := rosterOf(balancing{name: "least_time", timed: true, inFlight: inFlight}, server{}, server{})
		for _, m := range r.members {
			m.conns++
			m.flying++
			r.answer(m, m.born, time.Millisecond, time.Millisecond)
		}
		slow := r.choose(&selection{tried: []*peer{r.members[1].peer}}, now)
		slow.conns = 0 // but for its time it counts as idle
		got := r.share(10, selection{}, now.Add(3*time.Second))
		if (got[0] == 0) != inFlight {
			t.Errorf("inflight %v: got %v, want 0 for the first only with inflight", inFlight, got)
		}
		slow.conns = 1
		r.answer(slow, now, time.Millisecond, time.Millisecond)
		if got := r.share(10, selection{}, now.Add(3*time.Second)); got[0] != 5 {
			t.Errorf("inflight %v, after the answer: got %v, want 5 for the first", inFlight, got)
		}
	}
}

func TestAServerStartsSlowlyAfterItsRest(t *testing.T) {
	now := time.Now()
	servers := []server{{weight: 1, maxFails: 1, slowStart: 10 * time.Second}, {weight: 1, maxFails: 1}}
	for name, b := range map[string]balancing{"round robin": {}, "least_conn": {name: "least_conn"}} {
		r := rosterOf(b, servers...)
		m := r.members[0]
		r.lose(m, now)
		if got := r.share(100, selection{}, now.Add(time.Second)); got[0] != 0 {
			t.Errorf("%s, while the first rests: got %v, want 0 for it", name, got)
		}
		now := now.Add(11 * time.Second)
		for r.choose(&selection{tried: []*peer{r.members[1].peer}}, now) != m {
		}
		r.answer(m, now, 0, 0)
		if name == "least_conn" {
			m.conns, r.members[1].conns = 1, 2 // of its weight it has a half already
			if got := r.choose(&selection{}, now.Add(2*time.Second)); got == m {
				t.Errorf("%s: got the member in slow_start, want another", name)
			}
			continue
		}
		for _, after := range []struct {
			time time.Duration
			want int // of 1000
		}{{0, 10}, {time.Second, 91}, {5 * time.Second, 333}, {10 * time.Second, 500}} {
			if got := r.share(1000, selection{}, now.Add(after.time)); got[0] < after.want-15 || got[0] > after.want+15 {
				t.Errorf("%s: %s after it has come back it gets %d of 1000, want about %d", name, after.time, got[0], after.want)
			}
		}
	}
}

func TestRequestsThatAreBoundCountInTheTurns(t *testing.T) {
	r, now := rosterOf(balancing{}, server{route: "a"}, server{route: "b"}, server{route: "c", drain: true}), time.Now()
	if got, want := r.share(100, selection{}, now), []int{50, 50, 0}; !slices.Equal(got, want) {
		t.Errorf("nobody is bound: %v, want %v", got, want)
	}
	counts := []int{0, 0, 0}
	for i := range 100 {
		sel := selection{}
		if i%2 == 0 {
			sel.hint = "a"
		}
		counts[r.index(r.choose(&sel, now))]++
	}
	if counts[1] < 49 {
		t.Errorf("half of the requests bound to a: got %v, want at least 49 for b", counts)
	}
	if got := r.share(10, selection{hint: "c"}, now); got[2] != 10 {
		t.Errorf("bound to c, which has drain: got %v, want 10 for c", got)
	}
	if got := r.share(10, selection{hint: "none"}, now); got[0] != 5 {
		t.Errorf("bound to an unknown peer: got %v, want 5 for each", got)
	}
}

func TestEveryMethodHeedsWhomARequestIsBoundTo(t *testing.T) {
	for _, b := range []balancing{{}, {name: "least_conn"}, {name: "ip_hash"}, {name: "hash"}, {name: "hash", consistent: true}, {name: "random"}, {name: "random", two: true}, {name: "least_time", timed: true}} {
		r, now := rosterOf(b, server{route: "a", maxFails: 1}, server{route: "b"}, server{route: "c", backup: true}), time.Now()
		if got := r.share(10, selection{hint: "a", key: []byte("abc")}, now); got[0] != 10 {
			t.Errorf("%+v: got %v, want 10 for a", b, got)
		}
		r.lose(r.members[0], now)
		if got := r.share(10, selection{hint: "a", key: []byte("abc")}, now); got[1] != 10 {
			t.Errorf("%+v, while a rests: got %v, want 10 for b", b, got)
		}
	}
}

func TestOneRosterServesAllLanesWhereSomethingIsCounted(t *testing.T) {
	for text, shared := range map[string]bool{
		"": false, "ip_hash;": false, "random;": false, "hash $uri;": false, "keepalive 5;": false,
		"zone z 64k;": true, "queue 5;": true, "least_conn;": true, "least_time header;": true, "random two;": true, "server 127.0.0.1:3 max_conns=5;": true,
	} {
		s := newSite(t, "upstream u { "+text+" server 127.0.0.1:1; server 127.0.0.1:2; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }")
		for _, g := range groupsOf(s.Engine.Current().Resources) {
			if g.sharesRoster() != shared {
				t.Errorf("%q: got a shared roster %v, want %v", text, !shared, shared)
			}
		}
	}
}

func TestSessionsAreBoundedAndForgotten(t *testing.T) {
	s, now := newSessions(8*sessionSize, time.Minute), time.Now()
	for i := range 100 {
		s.set([]byte(fmt.Sprint(i)), "a", now.Add(time.Duration(i)*time.Second), true)
		s.set([]byte("kept"), "b", now.Add(time.Duration(i)*time.Second), i == 0)
	}
	if len(s.byID) != 8 || s.used.Len() != 8 {
		t.Errorf("%d and %d sessions, want 8", len(s.byID), s.used.Len())
	}
	last := now.Add(99 * time.Second)
	for name, want := range map[string]string{"kept": "b", "99": "a", "93": "a", "92": "", "0": ""} {
		if got := s.find([]byte(name), last); got != want {
			t.Errorf("session %s: %q, want %q", name, got, want)
		}
	}
	if got := s.find([]byte("kept"), last.Add(time.Minute)); got != "" {
		t.Errorf("after a minute: got %q, want none", got)
	}
	for i := range 8 {
		s.set([]byte(fmt.Sprint("new", i)), "a", last.Add(2*time.Minute), i == 0)
	}
	if s.used.Len() != 1 {
		t.Errorf("%d sessions, want one", s.used.Len())
	}
	s.set([]byte("unknown"), "a", last, false)
	if got := s.find([]byte("unknown"), last); got != "" {
		t.Errorf("a session that no answer has made: got %q, want none", got)
	}
}

// cookies are the Set-Cookie fields of an answer.
func cookies(res *http.Response) string { return strings.Join(res.Header["Set-Cookie"], " | ") }
