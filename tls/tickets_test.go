package tls

import (
	"testing"
	"time"
)

func TestKeysOfTicketsGoWhenNoSessionNeedsThem(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		lives []time.Duration
		want  int // keys after many days
	}{
		{nil, 1},
		{[]time.Duration{0}, 1},
		{[]time.Duration{time.Minute}, 2},
		{[]time.Duration{day}, 2},
		{[]time.Duration{day + 1}, 3},
		{[]time.Duration{time.Hour, 3 * day, time.Hour}, 4},
		{[]time.Duration{1000 * day}, 8},
	} {
		now := time.Now()
		tickets := NewTickets(func() time.Time { return now })
		for _, life := range c.lives {
			NewIdentity(nil, Options{Tickets: tickets, SessionLife: life})
		}
		seen := map[[32]byte]bool{}
		for range 20 {
			now = now.Add(day)
			tickets.rotate()
			seen[tickets.keys[0]] = true
		}
		if len(tickets.keys) != c.want || len(seen) != 20 {
			t.Errorf("%v: %d keys are kept of %d, want %d", c.lives, len(tickets.keys), len(seen), c.want)
		}
	}
}
