package proxy_test

import (
	"testing"

	"alicorn/proxy/proxytest"
)

// A redirect for a request without Host has the address to which the client has connected:
// the name of the server may be "_" or one of many.
func TestARedirectNamesWhereTheClientIs(t *testing.T) {
	for _, c := range []struct{ core, host, local, want string }{
		{"server_name _;", "shop.example", "", "http://shop.example/a/"},
		{"server_name _;", "-", "", "http://127.0.0.1/a/"},
		{"server_name shop.example;", "-", "192.0.2.7", "http://192.0.2.7/a/"},
		{"server_name shop.example;", "-", "2001:db8::1", "http://[2001:db8::1]/a/"},
		{"", "-", "", "http://127.0.0.1/a/"},
		{"server_name shop.example; server_name_in_redirect on;", "-", "", "http://shop.example/a/"},
		{"server_name shop.example; absolute_redirect off;", "-", "", "/a/"},
	} {
		s := start(t, "server { "+c.core+" location /a/ { slash; say a; } }")
		r := s.Do(proxytest.Request{Host: c.host, Local: c.local, Target: "/a"})
		if got := r.Header.Get("Location"); got != c.want {
			t.Errorf("%s Host %q at %q: %d to %q, want %q", c.core, c.host, c.local, r.Status, got, c.want)
		}
	}
}
