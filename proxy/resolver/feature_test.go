package resolver

import (
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestMistakesOfTheConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"resolver valid=1s;", "resolver has no address of a name server"},
		{"resolver 127.0.0.1 ipv4=off ipv6=off;", `"ipv4" and "ipv6" cannot both be "off"`},
		{"resolver 127.0.0.1 ipv6=no;", `1:20: invalid parameter "ipv6=no" of resolver: "no" is not one of "on", "off"`},
		{"resolver 127.0.0.1 valid=x;", `1:20: invalid parameter "valid=x" of resolver`},
		{"resolver 127.0.0.1 x=y;", `1:20: invalid parameter "x=y" of resolver; it takes`},
		{"resolver 127.0.0.1:0;", `invalid port in resolver "127.0.0.1:0"`},
		{"resolver $host;", `invalid address "$host" of a name server`},
		{"resolver nosuchhost.invalid;", `host not found in resolver "nosuchhost.invalid"`},
		{"resolver 127.0.0.1; resolver 127.0.0.2;", "duplicate"},
		{"resolver_timeout x;", "resolver_timeout"},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text, Modules: []proxy.Module{New().Module()}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestTheNearestDirectiveCounts(t *testing.T) {
	f := New()
	main := proxytest.Scope(t, proxytest.Config{Modules: []proxy.Module{f.Module()},
		Text: "resolver 127.0.0.1:1 [::1] valid=5s; server { } server { resolver localhost:2 ipv6=off; }"})
	if got := f.First(main.Blocks[0]); got != "127.0.0.1:1" {
		t.Errorf("the first name server: got %q, want 127.0.0.1:1", got)
	}
	if got := f.First(main.Blocks[1]); !strings.HasSuffix(got, ":2") {
		t.Errorf("the first name server of the second block: got %q, want one with port 2", got)
	}
	of := func(i int) *Resolver {
		r, err := f.Of(main.Blocks[i])
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if of(0) != of(0) || of(0) == of(1) || len(of(0).servers) != 2 || of(0).servers[1] != "[::1]:53" {
		t.Errorf("got the Resolvers %v, %v and %v; want the first two the same with 127.0.0.1:1 and [::1]:53, and another third", of(0), of(0), of(1))
	}
	var none *Feature
	if r, err := none.Of(main); r != nil || err != nil {
		t.Errorf("a nil Feature: got %v, %v, want nil, nil", r, err)
	}
}
