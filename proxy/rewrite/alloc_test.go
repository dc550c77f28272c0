//go:build !race

package rewrite

import (
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
)

func TestRewritingAllocatesOnlyForWhatItMakes(t *testing.T) {
	for text, most := range map[string]float64{
		`location / { }`:                                             0,
		`if ($host = other) { return 301 /; }`:                       0,
		`if ($arg_x) { return 403; }`:                                0,
		`set $x 1; rewrite ^/none$ /b;`:                              0,
		`location / { if ($host != localhost) { } add_header A b; }`: 0,
	} {
		s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{Module(), header.Module(), content()}, Text: "server { listen 80; " + text + " }"})
		base := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{Module(), header.Module(), content()}, Text: "server { listen 80; location / { add_header A b; } }"})
		plain := testing.AllocsPerRun(200, func() { base.Get("/path") })
		if got := testing.AllocsPerRun(200, func() { s.Get("/path") }) - plain; got > most {
			t.Errorf("%s: %v allocations more than without; want at most %v", text, got, most)
		}
	}
}
