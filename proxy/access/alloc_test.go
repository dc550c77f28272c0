//go:build !race

package access_test

import (
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/access"
	"alicorn/proxy/proxytest"
)

func TestRulesAllocateNothing(t *testing.T) {
	get := func(rules string) float64 {
		s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{access.Module()}, Text: "server { listen 80; " + rules + " }"})
		return testing.AllocsPerRun(200, func() { s.Do(proxytest.Request{Remote: "2001:db8::1"}) })
	}
	plain := get("")
	for _, rules := range []string{"deny 2001:db9::/32; allow 10.0.0.0/8; allow all;", "satisfy any; deny 2001:db9::/32; allow all;"} {
		if got := get(rules) - plain; got > 0 {
			t.Errorf("%s: %v allocations; want 0", rules, got)
		}
	}
}
