package pool

import (
	"testing"
	"time"
)

// A worker is replaced if it may be given no more requests, or if the rest of them takes no
// longer than a start.
func TestTheReplacementStartsInTime(t *testing.T) {
	const startup = time.Second
	for _, c := range []struct {
		name        string
		limit       uint64
		served      uint64
		outstanding int
		age         time.Duration // since it was ready
		late        uint64        // requests served in the last half of a second
		want        bool
	}{
		{"no limit", 0, 100, 1, time.Second, 0, false},
		{"fresh", 100, 0, 0, time.Second, 0, false},
		{"the last one is given", 3, 2, 1, time.Hour, 0, true},
		{"the only one is given", 1, 0, 1, 0, 0, true},
		{"few requests", 100, 90, 0, time.Hour, 0, false},
		{"as many as a start takes", 100, 50, 0, time.Second, 0, true},
		{"few more than a start takes", 100, 49, 0, time.Second, 0, false},
		{"less than half", 10, 4, 0, time.Millisecond, 0, false},
		{"half, and fast", 10, 5, 0, time.Millisecond, 0, true},
		{"fast, of many", 1000, 10, 0, time.Microsecond, 0, true},
		{"fast after a quiet time", 1000, 500, 0, time.Hour, 250, true},
		{"not as fast after a quiet time", 1000, 500, 0, time.Hour, 249, false},
	} {
		p := newTestPool(Settings{Threads: 1})
		now := time.Now()
		p.now.Store(now.UnixNano())
		w := &worker{pool: p, threads: 1, standing: standing{state: workerReady}, gait: newGait(), table: table{limit: c.limit, served: c.served, outstanding: c.outstanding}}
		w.readied = now.Add(-c.age)
		w.born = w.readied.Add(-startup)
		w.paced = c.served - c.late
		w.pace(c.served, 1, rateSpan)
		p.weary(w)
		if w.tired != c.want {
			t.Errorf("%s: tired %v, want %v", c.name, w.tired, c.want)
		}
	}
}
