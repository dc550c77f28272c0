package proxypass

import (
	"testing"
	"time"
)

// newTestRoster returns a roster of n peers of equal weight, the last of them a backup.
func newTestRoster(n int) *roster {
	g := &Group{definition: &definition{}, method: roundRobin}
	for i := range n {
		g.peers = append(g.peers, &peer{share: 1, server: &server{weight: 1, maxFails: 1, failTimeout: 10 * time.Second, backup: i == n-1}})
	}
	return newRoster(g)
}

// index returns the place of m; -1 for none.
func (r *roster) index(m *member) int {
	for i, o := range r.members {
		if o == m {
			return i
		}
	}
	return -1
}

// lose makes a request to m fail.
func (r *roster) lose(m *member, now time.Time) {
	m.conns++
	r.leave(m, result{outcome: failed, began: now, landed: true}, now)
}

func TestPeersThatRestAreAskedWhenNoOtherIsLeft(t *testing.T) {
	r, now := newTestRoster(3), time.Now()
	for _, i := range []int{1, 0, 2} {
		now = now.Add(time.Second)
		r.lose(r.members[i], now)
	}
	var sel selection
	for _, want := range []int{1, 0, 2} {
		m := r.choose(&sel, now.Add(time.Second))
		if got := r.index(m); got != want {
			t.Fatalf("peer %d is asked, want %d", got, want)
		}
		sel.tried = append(sel.tried, m.peer)
	}
	if m := r.choose(&sel, now); m != nil {
		t.Errorf("got peer %d, want none", r.index(m))
	}
}

func TestAPeerThatRestsIsNotAskedBeforeOthers(t *testing.T) {
	r, now := newTestRoster(3), time.Now()
	r.lose(r.members[0], now)
	for range 10 {
		if got := r.index(r.choose(&selection{}, now)); got != 1 {
			t.Fatalf("got peer %d, want 1", got)
		}
	}
	r.lose(r.members[1], now)
	if got := r.index(r.choose(&selection{}, now)); got != 2 {
		t.Errorf("got peer %d, want the backup 2", got)
	}
	if got := r.index(r.choose(&selection{}, now.Add(11*time.Second))); got == 2 {
		t.Errorf("others have rested: got the backup %d, want another", got)
	}
}
