//go:build !race

package referer_test

import (
	"testing"

	"alicorn/proxy/proxytest"
)

func TestAComparedRefererAllocatesNothing(t *testing.T) {
	allocations := func(text string) float64 {
		s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: "server { listen 80; " + text + " return 200 text; }"})
		return testing.AllocsPerRun(200, func() { s.Get("/path", "Referer: https://WWW.example.com/x") })
	}
	plain := allocations(`if ($http_referer = "") { }`)
	if got := allocations(`valid_referers none blocked *.example.com ~\.google\.; if ($invalid_referer) { }`); got > plain {
		t.Errorf("%v allocations more than without, want at most %v", got-plain, plain)
	}
}
