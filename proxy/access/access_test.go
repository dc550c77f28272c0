package access_test

import (
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/access"
	"alicorn/proxy/proxytest"
)

func TestMistakesOfRulesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"deny example.com;", `invalid parameter "example.com" of deny; it takes an address`},
		{"allow 10.0.0.0/33;", `invalid parameter "10.0.0.0/33" of allow`},
		{"allow 10.0.0.0/;", `invalid parameter "10.0.0.0/"`},
		{"allow 10.0.0;", `invalid parameter "10.0.0"`},
		{"allow 10.0.0.1:80;", `invalid parameter "10.0.0.1:80"`},
		{"allow ::1/129;", `invalid parameter "::1/129"`},
		{"allow fe80::1%eth0;", `invalid parameter "fe80::1%eth0"`},
		{"allow unix:/x;", `invalid parameter "unix:/x"`},
		{"allow;", `directive "allow" takes 1 argument, not 0`},
		{"satisfy one;", `satisfy: "one" is not one of "all", "any"`},
		{"location / { limit_except FETCH { deny all; } }", `invalid method "FETCH"; it is one of GET, HEAD, POST`},
		{"location / { limit_except GET { deny all; } limit_except POST { deny all; } }", `directive "limit_except" is duplicate`},
		{"location / { limit_except { deny all; } }", `directive "limit_except" takes at least 1 argument`},
		{"location / { limit_except GET; }", `directive "limit_except" needs a block`},
		{"location / { limit_except GET { satisfy any; } }", `directive "satisfy" is not allowed in "limit_except"`},
		{"limit_except GET { deny all; }", `directive "limit_except" is not allowed in "server"`},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{access.Module()}, Text: "server { listen 80; " + c.text + " }"})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "alicorn.conf:1") {
			t.Errorf(`%s: %v; want an error with %q and "alicorn.conf:1" in it`, c.text, err, c.want)
		}
	}
	warnings, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{access.Module()}, Text: "server { listen 80; allow 10.1.2.3/8; }"})
	if err != nil || len(warnings) != 1 || warnings[0].Msg != `low address bits of "10.1.2.3/8" are meaningless; it is read as "10.0.0.0/8"` {
		t.Errorf("%+v, %v; want one and %q", warnings, err, `low address bits of "10.1.2.3/8" are meaningless; it is read as "10.0.0.0/8"`)
	}
}
