package proxypass

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/resolver"
	"alicorn/proxy/resolver/resolvertest"
)

// numbered answers with the number of its connection.
func numbered(c *peerConn) {
	for r, _ := c.request(); r != nil; r, _ = c.request() {
		text := fmt.Sprintf("%s %d", c.LocalAddr(), c.number)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

// startOriginAt is startOrigin at an address of this host that no other test uses.
func startOriginAt(t *testing.T, ip, port string) *origin {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	if err != nil {
		t.Fatal(err)
	}
	return serveOrigin(t, l, "http", numbered)
}

// answeredBy returns the address and the number of the connection that answers.
func answeredBy(t *testing.T, nc net.Conn, r *bufio.Reader) (addr, number string) {
	t.Helper()
	res, body := exchange(t, nc, r, get("/"))
	if res.StatusCode != 200 {
		return res.Status, ""
	}
	addr, number, _ = strings.Cut(body, " ")
	return addr, number
}

func TestServersFollowTheirNames(t *testing.T) {
	names := resolvertest.Start(t)
	one := startOriginAt(t, "127.0.0.1", "0")
	_, port, _ := net.SplitHostPort(one.addr)
	two := startOriginAt(t, "127.0.0.2", port)
	names.Set("app.test", "0 A 127.0.0.1")
	s := newSite(t, "resolver "+names.Addr+" ipv6=off; upstream u { server app.test:"+port+" resolve; } server { listen 127.0.0.1:80; keepalive_requests 1000000; location / { proxy_pass http://u; } }")
	nc := s.Dial("")
	r := bufio.NewReader(nc)
	if addr, _ := answeredBy(t, nc, r); addr != one.addr {
		t.Fatalf("the first answer: got one of %s, want one of %s", addr, one.addr)
	}
	names.Set("app.test", "0 A 127.0.0.1", "0 A 127.0.0.2")
	seen := map[string]string{}
	proxytest.Eventually(t, func() bool {
		addr, number := answeredBy(t, nc, r)
		seen[addr] = number
		return len(seen) == 2
	}, "the second address is not used")
	if seen[one.addr] != "0" {
		t.Errorf("got the connections %v, want the kept one of %s", seen, one.addr)
	}
	names.Set("app.test", "0 A 127.0.0.2")
	proxytest.Eventually(t, func() bool {
		for range 4 {
			if addr, _ := answeredBy(t, nc, r); addr != two.addr {
				return false
			}
		}
		return true
	}, "an address that is gone is used")
	names.Fail("app.test", 2) // of which nothing is known
	s.Log.Wait(t, "app.test could not be resolved (2: Server failure)")
	if addr, _ := answeredBy(t, nc, r); addr != two.addr {
		t.Errorf("while name servers fail: got an answer of %s, want one of %s", addr, two.addr)
	}
	names.Set("app.test")
	proxytest.Eventually(t, func() bool { addr, _ := answeredBy(t, nc, r); return strings.HasPrefix(addr, "502") }, "a name without addresses has peers")
	s.Log.Wait(t, "no live upstreams")
	if st := groupsOf(s.Engine.Current().Resources)[0].Status(time.Now()); len(st.Lookups) != 1 || !strings.Contains(st.Lookups[0], "app.test could not be resolved") {
		t.Errorf("got the failures %q, want one about app.test", st.Lookups)
	}
	names.Set("app.test", "0 A 127.0.0.1")
	proxytest.Eventually(t, func() bool { addr, _ := answeredBy(t, nc, r); return addr == one.addr }, "a name that has addresses again has no peers")
	if st := groupsOf(s.Engine.Current().Resources)[0].Status(time.Now()); len(st.Lookups) > 0 {
		t.Errorf("got the failures %q, want none", st.Lookups)
	}
}

func TestServices(t *testing.T) {
	names := resolvertest.Start(t)
	one, two, three := startOriginAt(t, "127.0.0.1", "0"), startOriginAt(t, "127.0.0.1", "0"), startOriginAt(t, "127.0.0.1", "0")
	port := func(o *origin) string { _, port, _ := net.SplitHostPort(o.addr); return port }
	names.Set("here.test", "60 A 127.0.0.1")
	names.Set("_http._tcp.app.test", "60 SRV 1 3 "+port(one)+" here.test.", "60 SRV 1 1 "+port(two)+" here.test.", "60 SRV 2 1 "+port(three)+" here.test.")
	names.Set("one.web.app.test", "60 SRV 0 0 "+port(three)+" here.test.")
	s := newSite(t, "resolver "+names.Addr+" ipv6=off; upstream u { server app.test service=http resolve; } upstream v { server app.test service=one.web resolve; } "+
		"server { listen 127.0.0.1:80; location / { proxy_pass http://u; } location /v { proxy_pass http://v; } }")
	nc := s.Dial("")
	r := bufio.NewReader(nc)
	counts := map[string]int{}
	for range 40 {
		addr, _ := answeredBy(t, nc, r)
		counts[addr]++
	}
	if counts[one.addr] != 30 || counts[two.addr] != 10 {
		t.Errorf("%v, want 30 of %s and 10 of %s", counts, one.addr, two.addr)
	}
	if res, body := exchange(t, nc, r, get("/v")); res.StatusCode != 200 || !strings.HasPrefix(body, three.addr) {
		t.Errorf("got %d %s, want 200 of %s", res.StatusCode, body, three.addr)
	}
}

// The order of an answer has no meaning, an address counts once, and the largest weight is
// 100.
func TestTheAddressesOfAService(t *testing.T) {
	at := func(port uint16, priority, weight uint16) resolver.Service {
		return resolver.Service{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), Priority: priority, Weight: weight}
	}
	all := &resolver.Answer{Services: []resolver.Service{at(4, 9, 1), at(3, 2, 0), at(2, 2, 65535), at(1, 2, 6553), at(2, 2, 65535)}}
	for _, c := range []struct {
		server server
		want   string
	}{
		{server{weight: 1}, "1 9 false, 2 100 false, 3 0 false, 4 1 true, "},
		{server{weight: 5}, "1 0 false, 2 0 false, 3 0 false, 4 0 true, "},
		{server{weight: 5, backup: true}, "1 0 false, 2 0 false, 3 0 false, "},
	} {
		got := ""
		for _, s := range c.server.spotsOf(all) {
			got += fmt.Sprintf("%d %d %v, ", s.addr.Port(), s.weight, s.backup)
		}
		if got != c.want {
			t.Errorf("weight %d, backup %v: %s want %s", c.server.weight, c.server.backup, got, c.want)
		}
	}
}

// A reload that changes neither names nor name servers keeps connections, and serves at once.
func TestNamesAreKnownAfterAReload(t *testing.T) {
	names := resolvertest.Start(t)
	o := startOriginAt(t, "127.0.0.1", "0")
	_, port, _ := net.SplitHostPort(o.addr)
	names.Set("app.test", "600 A 127.0.0.1")
	text := func(label string) string {
		return "resolver " + names.Addr + " ipv6=off; upstream u { server app.test:" + port + " resolve; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; proxy_set_header X-Label " + label + "; } }"
	}
	s := newSite(t, text("a"))
	for _, label := range []string{"a", "b", "c"} {
		if err := s.Reload(text(label)); err != nil {
			t.Fatal(err)
		}
		nc := s.Dial("")
		if addr, number := answeredBy(t, nc, bufio.NewReader(nc)); addr != o.addr || number != "0" {
			t.Errorf("%s: got %s of the connection %s, want %s of the connection 0", label, addr, number, o.addr)
		}
	}
	if n := names.Asked("app.test"); n != 1 {
		t.Errorf("got %d questions, want 1", n)
	}
}

func TestMistakesOfNames(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"upstream u { server a.test resolve; } server { location / { proxy_pass http://u; } }", `1:21: no resolver defined to resolve names at run time in upstream "u"`},
		{"upstream u { server a.test resolve; }", `no resolver defined to resolve names at run time in upstream "u"`},
		{"resolver 127.0.0.1:1; upstream u { server a.test service=x; }", `service upstream "a.test" requires "resolve" parameter`},
		{"resolver 127.0.0.1:1; upstream u { server a.test:80 service=x resolve; }", `service upstream "a.test:80" may not have port`},
		{"upstream u { server nosuch.invalid; }", `host not found in upstream "nosuch.invalid"`},
		{"upstream u { server nosuch.invalid:81; } server { location / { proxy_pass http://u; } }", `host not found in upstream "nosuch.invalid:81"`},
	} {
		names := resolver.New()
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text, Modules: append(Modules(Options{Resolver: names}), names.Module())})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v\nwant %s", c.text, err, c.want)
		}
	}
}

// A resolver in the block counts there. Addresses and sockets are not looked up.
func TestABlockMayHaveAResolver(t *testing.T) {
	names := resolvertest.Start(t)
	o := startOriginAt(t, "127.0.0.1", "0")
	_, port, _ := net.SplitHostPort(o.addr)
	names.Set("app.test", "600 A 127.0.0.1")
	s := newSite(t, "resolver 127.0.0.1:1; upstream u { resolver "+names.Addr+" ipv6=off; resolver_timeout 5s; server app.test:"+port+" resolve; } upstream v { server "+o.addr+" resolve; } "+
		"server { listen 127.0.0.1:80; location / { proxy_pass http://u; } location /v { proxy_pass http://v; } }")
	for _, target := range []string{"/", "/v"} {
		if res, body := ask(t, s, get(target)); res.StatusCode != 200 {
			t.Errorf("got %d %s, want 200", res.StatusCode, body)
		}
	}
}
