package proxy_test

import (
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// Configurations share the built-in types, and one that adds to them changes no other's.
func TestBuiltInTypesAreShared(t *testing.T) {
	typeOf := func(text string) string {
		s := proxytest.New(t, proxytest.Config{Text: text})
		return s.Engine.Current().Sites()[0].Default.Root.Core.TypeOf("/a.html")
	}
	const server = " server { listen 80; location / { } }"
	for _, c := range []struct{ text, want string }{
		{server, "text/html"}, {"types { text/other html; }" + server, "text/other"}, {server, "text/html"},
		{"http { types { text/other htm; }" + server + " }", "text/plain"}, {server, "text/html"},
	} {
		if got := typeOf(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
	if n := testing.AllocsPerRun(10, proxy.DefaultCore); n > 0 {
		t.Errorf("the defaults of a configuration cost %v allocations, want none", n)
	}
}
