package proxypass

import (
	"testing"
	"time"
)

// choose and leave allocate nothing, with any method.
func TestChoosingAllocatesNothing(t *testing.T) {
	for _, b := range []balancing{{}, {name: "least_conn"}, {name: "ip_hash"}, {name: "hash"}, {name: "hash", consistent: true}, {name: "random", two: true}, {name: "least_time", timed: true, inFlight: true}} {
		r, now := rosterOf(b, server{weight: 5, maxFails: 1}, server{}, server{backup: true}), time.Now()
		sel := selection{key: []byte("key")}
		n := testing.AllocsPerRun(100, func() {
			sel = selection{key: sel.key, tried: sel.tried[:0]}
			m := r.choose(&sel, now)
			r.leave(m, result{outcome: answered, began: now}, now)
		})
		if n != 0 {
			t.Errorf("%+v: got %v allocations, want none", b, n)
		}
	}
}

func BenchmarkRoundRobin(b *testing.B) {
	r, now := rosterOf(balancing{}, server{weight: 5, maxFails: 1}, server{maxFails: 1}, server{maxFails: 1}), time.Now()
	var sel selection
	for b.Loop() {
		r.leave(r.choose(&sel, now), result{outcome: answered, began: now}, now)
	}
}

func BenchmarkOnePeer(b *testing.B) {
	r, now := rosterOf(balancing{}, server{maxFails: 1}), time.Now()
	var sel selection
	for b.Loop() {
		r.leave(r.choose(&sel, now), result{outcome: answered, began: now}, now)
	}
}
