//go:build !race

package varmap_test

import (
	"testing"

	"alicorn/proxy/proxytest"
)

func TestMapsAllocateOnlyForWhatTheyMake(t *testing.T) {
	allocations := func(text string, fields ...string) float64 {
		s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: text + ` map $uri $fixed { default a; } server { listen 80; if ($fixed) { } if ($value) { } return 200 text; }`})
		return testing.AllocsPerRun(200, func() { s.Get("/path", fields...) })
	}
	plain := allocations(`map "" $value { default "1"; }`, "Upgrade: websocket")
	for text, most := range map[string]float64{
		`map $http_upgrade $value { default upgrade; "" close; }`:               0,
		`map $http_upgrade $value { default ""; WebSocket upgrade; "" close; }`: 0,
		`map $http_upgrade $value { volatile; default ""; ~*^web upgrade; }`:    0,
		`map $host $value { hostnames; default 0; *.host 1; .LocalHost 2; }`:    0,
		`map $uri $value { ~^/(p) $1; }`:                                        3, // the text and the value; regexp's own
	} {
		if got := allocations(text, "Upgrade: websocket") - plain; got > most {
			t.Errorf("%s: %v allocations more than without; want at most %v", text, got, most)
		}
	}
}
