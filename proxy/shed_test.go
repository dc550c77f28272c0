package proxy

import (
	"testing"
	"time"
)

// kept is a connection that waits since a time, or does not wait.
type kept struct {
	since   time.Time
	idle    bool
	asked   bool
	drained bool
}

func (k *kept) Drain(last time.Duration) { k.drained = last == 0 }
func (k *kept) Waits() (time.Time, bool) { return k.since, k.idle && !k.drained }
func (k *kept) Asked() bool              { return k.asked }
func (k *kept) Tunnels() bool            { return false }
func (k *kept) Cut(*Generation)          {}
func (k *kept) Close() error             { return nil }

func TestWhoIdlesLongestMakesRoom(t *testing.T) {
	e := NewEngine(nil, nil)
	all := make([]*kept, 3*shedding)
	before := time.Now().Add(-time.Hour)
	for i := range all {
		all[i] = &kept{since: before.Add(time.Duration(i) * time.Second), idle: i%2 == 0, asked: i == 0}
		e.Register(&Conn{}, all[i])
	}
	e.shed()
	for i, k := range all {
		if want := i%2 == 0 && i != 0 && i <= 2*shedding; k.drained != want {
			t.Errorf("connection %d of %d, idle %v, asked %v, is closed: %v; want %v", i, len(all), k.idle, k.asked, k.drained, want)
		}
	}
}

// A connection that has just come will soon send a request.
func TestWhoHasJustComeStays(t *testing.T) {
	old := time.Hour
	for _, c := range []struct {
		idle []time.Duration // oldest first
		goes int
	}{
		{nil, 0}, {[]time.Duration{0}, 0}, {[]time.Duration{old}, 1}, {[]time.Duration{old, 0}, 1}, {[]time.Duration{0, 0, 0}, 1}, {[]time.Duration{old, old, old, 0}, 3},
	} {
		e := NewEngine(nil, nil)
		var all []*kept
		for _, d := range c.idle {
			all = append(all, &kept{since: time.Now().Add(-d), idle: true})
			e.Register(&Conn{}, all[len(all)-1])
		}
		e.shed()
		for i, k := range all {
			if k.drained != (i < c.goes) {
				t.Errorf("idle for %v: connection %d is closed: %v, want the first %d", c.idle, i, k.drained, c.goes)
			}
		}
	}
}

// Connections of a burst find no descriptor until the connections that shed has chosen have
// closed. No others are closed for them.
func TestABurstMakesRoomOnce(t *testing.T) {
	e := NewEngine(nil, nil)
	all := make([]*kept, 4*shedding)
	conns := make([]*Conn, len(all))
	before := time.Now().Add(-time.Hour)
	for i := range all {
		conns[i], all[i] = &Conn{}, &kept{since: before.Add(time.Duration(i) * time.Second), idle: true}
		e.Register(conns[i], all[i])
	}
	closed := func() (n int) {
		for _, k := range all {
			if k.drained {
				n++
			}
		}
		return n
	}
	for range 10 {
		e.shed()
	}
	if n := closed(); n != shedding {
		t.Errorf("%d connections are closed, want %d", n, shedding)
	}
	for i := range shedding {
		e.Unregister(conns[i])
	}
	e.shed()
	if n := closed(); n != 2*shedding {
		t.Errorf("with the first ones gone %d connections are closed, want %d", n, 2*shedding)
	}
	e.shedAt = time.Now().Add(-2 * shedTime) // they do not close
	e.shed()
	if n := closed(); n != 3*shedding {
		t.Errorf("after a while %d connections are closed, want %d", n, 3*shedding)
	}
}
