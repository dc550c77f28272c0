package proxy

import (
	"fmt"
	"testing"
)

// TestEachFieldLineIsLookedAtOnce follows the links from each line that begins a chain. There
// are as many steps as lines, however names repeat.
func TestEachFieldLineIsLookedAtOnce(t *testing.T) {
	for _, names := range []int{1, 3, 400, 6000} {
		var h Header
		const n = 6400
		for i := range n {
			h.Add(fmt.Sprintf("x-%d", i%names), "v")
		}
		r, steps := h.Repeats(false), 0
		for i := range n {
			for j := i; r.First(i); j = r.Next(j) {
				if steps++; steps > n || r.Next(j) == 0 {
					break
				}
			}
		}
		if steps != n || r.chain == nil {
			t.Errorf("%d names: %d steps for %d lines", names, steps, n)
		}
	}
}
