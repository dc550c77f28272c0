package proxy_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// TestWildcardNamesOfHostsOfManyLabels has names at the bound of what is looked
// up, in hosts much longer than any of them.
func TestWildcardNamesOfHostsOfManyLabels(t *testing.T) {
	long := strings.Repeat("a.", 2000)
	s := start(t, `
		server { listen 80 default_server; location / { say none; } }
		server { listen 80; server_name *.example.com; location / { say leading; } }
		server { listen 80; server_name .b.example.com; location / { say dotted; } }
		server { listen 80; server_name www.example.*; location / { say trailing; } }`)
	for _, c := range []struct{ host, want string }{
		{"x.example.com", "leading"},
		{"example.com", "none"},
		{"xexample.com", "none"},
		{"b.example.com", "dotted"},
		{"c.b.example.com", "dotted"},
		{"cb.example.com", "leading"},
		{"www.example.org", "trailing"},
		{"www.example", "none"},
		{"www.examples.org", "none"},
		{long + "example.com", "leading"},
		{long + "b.example.com", "dotted"},
		{"www.example." + long + "org", "trailing"},
		{long + "org", "none"},
	} {
		if got := s.Do(proxytest.Request{Host: c.host}).Text(); got != c.want {
			t.Errorf("%.30s: got %q, want %q", c.host, got, c.want)
		}
	}
}
