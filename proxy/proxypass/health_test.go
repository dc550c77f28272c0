package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/resolver"
)

// patient is an origin whose health a test sets. It counts its health checks.
type patient struct {
	*origin
	mu     sync.Mutex
	answer string // to checks
	asked  string // by the last one
	checks atomic.Int64
}

func startPatient(t *testing.T, network string) *patient {
	t.Helper()
	p := &patient{answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-State: fine\r\n\r\nok"}
	p.origin = startOrigin(t, network, func(c *peerConn) {
		for r, _ := c.request(); r != nil; r, _ = c.request() {
			if !strings.HasPrefix(r.RequestURI, "/health") {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(p.addr), p.addr)
				continue
			}
			p.mu.Lock()
			answer := p.answer
			p.asked = fmt.Sprintf("%s %s %s %s %s", r.Method, r.RequestURI, r.Proto, r.Host, r.Header.Get("X-Own"))
			p.mu.Unlock()
			p.checks.Add(1)
			if answer == "" {
				return
			}
			fmt.Fprint(c, answer)
		}
	})
	return p
}

func (p *patient) says(answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// checkedSite starts a site that checks these servers as the upstream u.
func checkedSite(t *testing.T, http, check string, patients ...*patient) *proxytest.Server {
	t.Helper()
	servers := ""
	for _, p := range patients {
		servers += "server " + p.addr + "; "
	}
	return newSite(t, http+" upstream u { "+servers+"} server { listen 127.0.0.1:80; server_name site; location / { proxy_pass http://u; proxy_set_header X-Own $host; health_check interval=10ms uri=/health?a=b "+check+"; } }")
}

// shares returns how many of 20 requests each address answers; a status in place of one.
func shares(t *testing.T, s *proxytest.Server) map[string]int {
	t.Helper()
	nc := s.Dial("")
	defer nc.Close()
	r, counts := bufio.NewReader(nc), map[string]int{}
	for range 20 {
		res, body := exchange(t, nc, r, get("/"))
		if res.StatusCode != 200 {
			body = fmt.Sprint(res.StatusCode)
		}
		counts[body]++
	}
	return counts
}

func TestAPeerThatIsNotWellGetsNoRequests(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			one, two := startPatient(t, network), startPatient(t, network)
			s := checkedSite(t, "", "fails=2 passes=2", one, two)
			if got := shares(t, s); got[one.addr] != 10 || got[two.addr] != 10 {
				t.Errorf("at first: got %v, want 10 for each", got)
			}
			for _, ill := range []string{
				"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "junk\r\n\r\n", "",
			} {
				two.says(ill)
				proxytest.Eventually(t, func() bool { return shares(t, s)[one.addr] == 20 }, "%q: the peer gets requests", ill)
				two.says("HTTP/1.1 302 Found\r\nContent-Length: 9\r\n\r\nx") // the head says enough
				proxytest.Eventually(t, func() bool { return shares(t, s)[two.addr] == 10 }, "%q: the peer gets none once it is well", ill)
			}
			s.Log.Wait(t, fmt.Sprintf("peer is unhealthy: its status 500 does not match, health check of peer %s in upstream \"u\"", two.addr))
			s.Log.Wait(t, "peer is healthy, health check of peer "+two.addr)
			two.mu.Lock()
			if want := "GET /health?a=b HTTP/1.1 u site"; two.asked != want {
				t.Errorf("a check is %q, want %q", two.asked, want)
			}
			two.mu.Unlock()
			one.says("")
			two.says("")
			proxytest.Eventually(t, func() bool { return shares(t, s)["502"] == 20 }, "a group without healthy peers answers")
		})
	}
}

func TestMatchSaysWhichAnswersAreGood(t *testing.T) {
	for _, c := range []struct {
		match string
		good  bool
	}{
		{"status 200;", true}, {"status 201 204;", false}, {"status 100-199 200-299;", true}, {"status ! 200;", false}, {"status ! 500 501-599;", true},
		{"header X-State;", true}, {"header ! X-State;", false}, {"header ! X-None;", true}, {"header X-None;", false},
		{"header x-state = fine;", true}, {"header X-State != fine;", false}, {"header X-State ~ ^f;", true}, {"header X-State ~ ^F;", false}, {"header X-State ~* ^F;", true}, {"header X-State !~ ^f;", false},
		{"body ~ ok;", true}, {"body ~ no;", false}, {"body !~ no;", true}, {"status 200; header X-State; body ~ ^ok$;", true}, {"status 200; header X-State; body ~ ^ok.;", false},
	} {
		p := startPatient(t, "tcp")
		s := checkedSite(t, "match m { "+c.match+" }", "match=m mandatory", p)
		want := p.addr
		if !c.good {
			want = "502"
		}
		proxytest.Eventually(t, func() bool { return p.checks.Load() > 3 && shares(t, s)[want] == 20 }, "%s: %v", c.match, shares(t, s))
	}
}

// With mandatory a server gets no requests before it has passed its checks.
func TestAMandatoryCheckComesFirst(t *testing.T) {
	p := startPatient(t, "tcp")
	p.says("")
	s := checkedSite(t, "", "mandatory persistent", p)
	if got := shares(t, s); got["502"] != 20 {
		t.Errorf("before the first check: got %v, want 20 times 502", got)
	}
	p.says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	proxytest.Eventually(t, func() bool { return shares(t, s)[p.addr] == 20 }, "it is never well")
}

// A reload keeps the state of a check, which ends with the check.
func TestChecksLiveThroughAReload(t *testing.T) {
	one, two := startPatient(t, "tcp"), startPatient(t, "tcp")
	two.says("")
	text := func(check, label string) string {
		return "upstream u { server " + one.addr + "; server " + two.addr + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; proxy_set_header X-Own " + label + "; " + check + " } }"
	}
	const check = "health_check interval=10ms uri=/health fails=3 passes=1000;"
	s := newSite(t, text(check, "a"))
	proxytest.Eventually(t, func() bool { return shares(t, s)[one.addr] == 20 }, "the peer gets requests")
	two.says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if err := s.Reload(text(check, "b")); err != nil {
		t.Fatal(err)
	}
	if got := shares(t, s); got[one.addr] != 20 {
		t.Errorf("after a reload: got %v, want 20 for %s", got, one.addr)
	}
	proxytest.Eventually(t, func() bool { two.mu.Lock(); defer two.mu.Unlock(); return strings.HasSuffix(two.asked, " b") }, "checks are as before")
	if err := s.Reload(text("", "c")); err != nil {
		t.Fatal(err)
	}
	if got := shares(t, s); got[two.addr] != 10 {
		t.Errorf("without the check: got %v, want 10 for %s", got, two.addr)
	}
	s.Engine.Current().Resources.Each(func(_ string, v any) {
		if g, ok := v.(*Group); ok && len(g.checkers) > 0 {
			t.Errorf("got %d checks of the group, want none", len(g.checkers))
		}
	})
}

// A check may use another port, and each of several checks may fail a peer.
func TestChecksOfAnotherPort(t *testing.T) {
	p, side := startPatient(t, "tcp"), startPatient(t, "tcp")
	_, port, _ := net.SplitHostPort(side.addr)
	s := checkedSite(t, "", "port="+port+"; health_check interval=10ms uri=/health2", p)
	proxytest.Eventually(t, func() bool { return side.checks.Load() > 2 && p.checks.Load() > 2 }, "a check does not come")
	side.says("")
	proxytest.Eventually(t, func() bool { return shares(t, s)["502"] == 20 }, "it gets requests")
	side.says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	proxytest.Eventually(t, func() bool { return shares(t, s)[p.addr] == 20 }, "it gets none")
	p.says("")
	proxytest.Eventually(t, func() bool { return shares(t, s)["502"] == 20 }, "it gets requests though one check has failed")
}

func TestGatewaysAreChecked(t *testing.T) {
	var checks atomic.Int64
	var ill atomic.Bool
	o := startOrigin(t, "tcp", func(c *peerConn) {
		text, err := c.r.ReadString(':')
		if err != nil {
			return
		}
		var n int
		fmt.Sscan(strings.TrimSuffix(text, ":"), &n)
		params := make([]byte, n+1)
		if _, err := io.ReadFull(c.r, params); err != nil {
			return
		}
		if strings.Contains(string(params), "\x00/health\x00") {
			checks.Add(1)
			if ill.Load() {
				return
			}
		}
		fmt.Fprint(c, "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok")
	})
	s := newSite(t, "upstream u { server "+o.addr+"; } server { listen 127.0.0.1:80; location / { scgi_pass u; scgi_param REQUEST_URI $request_uri; health_check interval=10ms uri=/health; } }")
	if res, body := ask(t, s, get("/")); res.StatusCode != 200 || body != "ok" {
		t.Errorf("got %d %q, want 200 \"ok\"", res.StatusCode, body)
	}
	proxytest.Eventually(t, func() bool { return checks.Load() > 2 }, "no check comes")
	ill.Store(true)
	proxytest.Eventually(t, func() bool { res, _ := ask(t, s, get("/")); return res.StatusCode == 502 }, "it gets requests")
}

func TestMistakesOfChecks(t *testing.T) {
	in := func(check string) string {
		return "upstream u { server 127.0.0.1:1; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; " + check + " } }"
	}
	for _, c := range []struct{ text, want string }{
		{in("health_check interval=0;"), "interval: it must be longer than 0"},
		{in("health_check fails=0;"), "health_check: fails"},
		{in("health_check uri=x;"), `invalid URI "x"`},
		{in("health_check x;"), `health_check: invalid parameter "x"`},
		{in("health_check type=grpc;"), `nginx's parameter "type" is not supported here`},
		{in("health_check persistent;"), `"persistent" needs "mandatory"`},
		{in("health_check match=m;"), `there is no match block "m"`},
		{"server { listen 127.0.0.1:80; location / { health_check; } }", "health_check needs proxy_pass, or its like, in the same location"},
		{"server { listen 127.0.0.1:80; location / { proxy_pass http://$host; health_check; } }", "health_check cannot be in a location"},
		{"match m { status x; }", `invalid status "x"`},
		{"match m { status !; }", "status has no number"},
		{"match m { header a b; }", "header takes NAME"},
		{"match m { header A < b; }", `invalid operator "<"`},
		{"match m { body = b; }", `invalid operator "="`},
		{"match m { body ~ (; }", "1:18:"},
		{"match m { } match m { }", `match "m" is duplicate`},
		{"match m { require $a; }", "require"},
	} {
		names := resolver.New()
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text, Modules: append(Modules(Options{Resolver: names}), names.Module())})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}
