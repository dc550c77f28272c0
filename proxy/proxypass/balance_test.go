package proxypass

import (
	"testing"
	"time"
)

// newLane returns a lane of n peers of equal weight, the last of them a backup.
func newLane(n int) *lane {
	g := &Group{}
	for i := range n {
		g.peers = append(g.peers, peer{index: i, server: &server{weight: 1, maxFails: 1, failTimeout: 10 * time.Second, backup: i == n-1}})
	}
	l := &lane{group: g, peers: make([]health, n)}
	for i := range l.peers {
		l.peers[i].effective = 1
	}
	return l
}

func TestPeersThatRestAreAskedWhenNoOtherIsLeft(t *testing.T) {
	l, now := newLane(3), time.Now()
	for _, i := range []int{1, 0, 2} {
		now = now.Add(time.Second)
		l.report(&l.group.peers[i], true, now)
	}
	tried := make([]bool, 3)
	for _, want := range []int{1, 0, 2} {
		p := l.choose(tried, now.Add(time.Second))
		if p == nil || p.index != want {
			t.Fatalf("peer %+v is asked, want %d", p, want)
		}
		tried[want] = true
	}
	if p := l.choose(tried, now); p != nil {
		t.Errorf("peer %d is asked again", p.index)
	}
}

func TestAPeerThatRestsIsNotAskedBeforeOthers(t *testing.T) {
	l, now := newLane(3), time.Now()
	l.report(&l.group.peers[0], true, now)
	for range 10 {
		if p := l.choose(make([]bool, 3), now); p.index != 1 {
			t.Fatalf("peer %d is asked", p.index)
		}
	}
	l.report(&l.group.peers[1], true, now)
	if p := l.choose(make([]bool, 3), now); p.index != 2 {
		t.Errorf("peer %d is asked, not the backup", p.index)
	}
	if p := l.choose(make([]bool, 3), now.Add(11*time.Second)); p.index == 2 {
		t.Error("the backup is asked when others have rested")
	}
}
