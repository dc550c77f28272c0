package proxypass

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The list of kept connections does what a slice does, and each of its calls touches no other
// connections than the neighbours.
func TestTheListOfKeptConnectionsIsInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l connList
	var model []*conn
	all := make([]*conn, 20)
	for i := range all {
		all[i] = &conn{requests: i}
	}
	for step := range 5000 {
		c := all[random.IntN(len(all))]
		if i := slices.Index(model, c); i < 0 && random.IntN(2) == 0 {
			l.add(c)
			model = append(model, c)
		} else {
			if got := l.remove(c); got != (i >= 0) {
				t.Fatalf("step %d: remove is %v, want %v", step, got, i >= 0)
			}
			if i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
		}
		var forth, back []*conn
		for c := l.oldest; c != nil; c = c.newer {
			forth = append(forth, c)
		}
		for c := l.newest; c != nil; c = c.older {
			back = append(back, c)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, model) || !slices.Equal(back, model) || l.count != len(model) {
			t.Fatalf("step %d: %d connections, %d from the oldest, %d from the newest; want %d in order", step, l.count, len(forth), len(back), len(model))
		}
	}
}

// An origin that ends ends all kept connections, each of which is evicted: the time grows with
// their number, not with its square.
func BenchmarkEvictAll(b *testing.B) {
	for range b.N {
		l := &lane{}
		all := make([]*conn, 20_000)
		for i := range all {
			all[i] = &conn{lane: l}
			l.kept.add(all[i])
		}
		for i := range all { // the newest first
			l.evict(all[len(all)-1-i])
		}
	}
}
