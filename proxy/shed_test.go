package proxy

import (
	"testing"
	"time"
)

// kept is a connection that waits since a time, or does not.
type kept struct {
	since   time.Time
	idle    bool
	drained bool
}

func (k *kept) Drain(last time.Duration) { k.drained = last == 0 }
func (k *kept) Waits() (time.Time, bool) { return k.since, k.idle }
func (k *kept) Close() error             { return nil }

func TestWhoIdlesLongestMakesRoom(t *testing.T) {
	e := NewEngine(nil, nil)
	all := make([]*kept, 3*shedding)
	now := time.Now()
	for i := range all {
		all[i] = &kept{since: now.Add(time.Duration(i) * time.Second), idle: i%2 == 0}
		e.Register(&Conn{}, all[i])
	}
	e.shed()
	for i, k := range all {
		if want := i%2 == 0 && i < 2*shedding; k.drained != want {
			t.Errorf("connection %d of %d, idle %v, is closed: %v", i, len(all), k.idle, k.drained)
		}
	}
}
