package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/limit"
	"alicorn/proxy/proxytest"
)

// origin answers every location with $limit_req_status in X-Limit.
func origin() proxy.Module {
	return proxy.Module{Name: "origin", Compile: func(s *config.Scope, l *proxy.Location) error {
		status := proxy.ParseTemplate(s.Load(), config.Pos{}, "$limit_req_status")
		l.FilterHeader(func(x *proxy.Exchange) error {
			x.Res.Header.Add("X-Limit", status.String(x))
			return nil
		})
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("ok")) }))
		return nil
	}}
}

func modules() []proxy.Module { return []proxy.Module{limit.Module(), origin()} }

func start(t *testing.T, text string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Modules: modules()})
}

const perMinute = `limit_req_zone $arg_k zone=one:1m rate=1r/m; `

// answers gives the statuses of requests for the targets, one after another.
func answers(s *proxytest.Server, targets ...string) string {
	var b strings.Builder
	for _, target := range targets {
		r := s.Get(target)
		fmt.Fprintf(&b, "%d %s,", r.Status, r.Header.Get("X-Limit"))
	}
	return b.String()
}

func TestRequestsPastTheBurstAreRefused(t *testing.T) {
	s := start(t, perMinute+`server { listen 80; location / { limit_req zone=one burst=1 nodelay; } }`)
	want := "200 PASSED,200 PASSED,503 REJECTED,503 REJECTED,200 PASSED,"
	if got := answers(s, "/?k=a", "/?k=a", "/?k=a", "/?k=a", "/?k=b"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantLog(t, s, `error: limiting requests, excess: (2\.000|1\.\d{3}) by zone "one", client: 127.0.0.1`)
}

func TestRequestsWithoutAKeyAreNotLimited(t *testing.T) {
	s := start(t, perMinute+`server { listen 80; location / { limit_req zone=one; } }`)
	if got := answers(s, "/", "/", "/?k="); got != "200 ,200 ,200 ," {
		t.Errorf(`got %s, want "200 ,200 ,200 ,"`, got)
	}
}

func TestRefusalsHaveTheStatusOfTheDirective(t *testing.T) {
	s := start(t, perMinute+`limit_req_status 429; server { listen 80; location / { limit_req zone=one; } }`)
	if got := answers(s, "/?k=a", "/?k=a"); got != "200 PASSED,429 REJECTED," {
		t.Errorf(`got %s, want "200 PASSED,429 REJECTED,"`, got)
	}
}

func TestDelaysAreLoggedOneLevelLower(t *testing.T) {
	for level, lower := range map[string]string{"error": "warn", "warn": "notice", "notice": "info", "info": "info"} {
		s := start(t, perMinute+`limit_req_dry_run on; limit_req_log_level `+level+`; server { listen 80; location / { limit_req zone=one burst=1; } }`)
		answers(s, "/?k=a", "/?k=a", "/?k=a")
		for _, want := range []string{level + ": limiting requests", lower + ": delaying request"} {
			if !strings.Contains(s.Log.String(), want) {
				t.Errorf("no %q in %s", want, s.Log)
			}
		}
	}
}

func TestDelayedRequestsKeepTheRate(t *testing.T) {
	s := start(t, `limit_req_zone $arg_k zone=one:1m rate=3r/s; server { listen 80; location / { limit_req zone=one burst=10 delay=2; } }`)
	begin := time.Now()
	got := answers(s, "/?k=a", "/?k=a", "/?k=a", "/?k=a", "/?k=a", "/?k=a")
	if strings.Count(got, "200") != 6 || !strings.Contains(got, "DELAYED") || !strings.HasPrefix(got, "200 PASSED,") {
		t.Errorf(`got %s, want "200" 6 times, "DELAYED" in it and "200 PASSED," at its beginning`, got)
	}
	// The first and the burst of two are free; each of the three others takes
	// its third of a second, less what the clock's milliseconds round away. A
	// machine must be held up for a second to have none of them delayed.
	if took := time.Since(begin); took < 3*330*time.Millisecond {
		t.Errorf("six requests took %s, want at least %s", took, 3*330*time.Millisecond)
	}
	wantLog(t, s, `warn: delaying request, excess: [23]\.\d{3}, by zone "one", client`)
}

// wantLog fails t unless the log matches; digits vary, as time passes.
func wantLog(t *testing.T, s *proxytest.Server, pattern string) {
	t.Helper()
	if log := s.Log.String(); !regexp.MustCompile(pattern).MatchString(log) {
		t.Errorf("no %s in %s", pattern, log)
	}
}

func TestADryRunOnlyTells(t *testing.T) {
	s := start(t, perMinute+`limit_req_dry_run on; server { listen 80; location / { limit_req zone=one burst=1; } }`)
	begin := time.Now()
	if got := answers(s, "/?k=a", "/?k=a", "/?k=a"); got != "200 PASSED,200 DELAYED_DRY_RUN,200 REJECTED_DRY_RUN," {
		t.Errorf(`got %s, want "200 PASSED,200 DELAYED_DRY_RUN,200 REJECTED_DRY_RUN,"`, got)
	}
	if took := time.Since(begin); took > 50*time.Second {
		t.Errorf("the dry run has waited for its delay of a minute: %s; want at most %s", took, 50*time.Second)
	}
	wantLog(t, s, `delaying request, dry run, excess: (1\.000|0\.\d{3}), by zone "one"`)
	wantLog(t, s, `limiting requests, dry run, excess: (2\.000|1\.\d{3}) by zone "one"`)
}

func TestEveryZoneMustAdmit(t *testing.T) {
	s := start(t, perMinute+`limit_req_zone $arg_j zone=two:1m rate=1r/m; server { listen 80;
		location / { limit_req zone=one burst=1 nodelay; limit_req zone=two; } location /one { limit_req zone=one burst=1 nodelay; } }`)
	// The second request is refused by zone two, and is not counted in zone
	// one, which has a place left for /one.
	want := "200 PASSED,503 REJECTED,200 PASSED,503 REJECTED,503 REJECTED,"
	if got := answers(s, "/?k=a&j=a", "/?k=a&j=a", "/one?k=a", "/one?k=a", "/?k=a&j=b"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if log := s.Log.String(); strings.Count(log, `by zone "two"`) != 1 || strings.Count(log, `by zone "one"`) != 2 {
		t.Errorf("log %s, want %q once and %q 2 times", log, `by zone "two"`, `by zone "one"`)
	}
}

func TestALongDelayOfAnyZoneCounts(t *testing.T) {
	s := start(t, `limit_req_zone $arg_k zone=slow:1m rate=2r/s; limit_req_zone $arg_k zone=fast:1m rate=1000r/s;
		server { listen 80; location / { limit_req zone=slow burst=5; limit_req zone=fast burst=5; } }`)
	begin := time.Now()
	answers(s, "/?k=a", "/?k=a", "/?k=a")
	if took := time.Since(begin); took < 990*time.Millisecond || !strings.Contains(s.Log.String(), `by zone "slow"`) {
		t.Errorf("took %s, log %s; want at least %s and %q in it", took, s.Log, 990*time.Millisecond, `by zone "slow"`)
	}
}

func TestBlocksInheritAndReplace(t *testing.T) {
	s := start(t, perMinute+`limit_req zone=one; server { listen 80; location / { }
		location /own { limit_req zone=one burst=5 nodelay; } }`)
	if got := answers(s, "/?k=a", "/?k=a", "/own?k=a", "/?k=a"); got != "200 PASSED,503 REJECTED,200 PASSED,503 REJECTED," {
		t.Errorf(`got %s, want "200 PASSED,503 REJECTED,200 PASSED,503 REJECTED,"`, got)
	}
}

func TestAnInternalRedirectIsNotCountedTwice(t *testing.T) {
	s := start(t, perMinute+`server { listen 80; error_page 503 /sorry; limit_req zone=one; location / { } location /sorry { } }`)
	if got := answers(s, "/?k=a", "/?k=a"); got != "200 PASSED,503 REJECTED," {
		t.Errorf(`got %s, want "200 PASSED,503 REJECTED,"`, got)
	}
	if n := strings.Count(s.Log.String(), "limiting requests"); n != 1 {
		t.Errorf("limited %d times", n)
	}
}

func TestZonesOutliveAReload(t *testing.T) {
	const server = `server { listen 80; location / { limit_req zone=one; } }`
	s := start(t, perMinute+server)
	answers(s, "/?k=a")
	for _, c := range []struct{ zone, want string }{
		{perMinute, "503 REJECTED,"},
		{`limit_req_zone $arg_k zone=one:1m rate=2r/m;`, "503 REJECTED,"},
		{`limit_req_zone $arg_k zone=one:2m rate=2r/m;`, "200 PASSED,"},
		{`limit_req_zone x$arg_k zone=one:2m rate=2r/m;`, "200 PASSED,"},
	} {
		if err := s.Reload(c.zone + server); err != nil {
			t.Fatal(err)
		}
		if got := answers(s, "/?k=a"); got != c.want {
			t.Errorf("%s: %s; want %s", c.zone, got, c.want)
		}
	}
}

func TestTheLeastRecentlyUsedKeyMakesRoom(t *testing.T) {
	s := start(t, `limit_req_zone $arg_k zone=one:32k rate=1r/m; server { listen 80; location / { limit_req zone=one; } }`)
	key := func(i int) string { return fmt.Sprintf("/?k=%d", i) }
	const room = 32 << 10 / 128
	for i := range room {
		answers(s, key(i))
	}
	answers(s, key(0), key(room)) // 0 is used again, so 1 is forgotten
	want := "503 REJECTED,503 REJECTED,200 PASSED,"
	if got := answers(s, key(0), key(room), key(1)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestConcurrentRequestsAreEachCountedOnce(t *testing.T) {
	s := start(t, perMinute+`server { listen 80; location / { limit_req zone=one burst=9 nodelay; } }`)
	const each = 50
	var wg sync.WaitGroup
	var passed [4]int
	for w := range passed {
		wg.Go(func() {
			for range each {
				if s.Get("/?k=a").Status == 200 {
					passed[w]++
				}
			}
		})
	}
	wg.Wait()
	if n := passed[0] + passed[1] + passed[2] + passed[3]; n != 10 {
		t.Errorf("%d requests passed, want 10", n)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`limit_req zone=perip;` + `limit_req_zone $host zone=peripp:1m rate=1r/s;`, `unknown limit_req_zone "perip"`},
		{`limit_req zone=one burst=0;` + perMinute, `invalid burst value "0"`},
		{`limit_req zone=one delay=x;` + perMinute, `invalid delay value "x"`},
		{`limit_req zone=one no_delay;` + perMinute, `invalid parameter "no_delay"`},
		{`limit_req burst=1;` + perMinute, `needs zone=NAME`},
		{`limit_req zone=one; limit_req zone=one burst=2;` + perMinute, `duplicate`},
		{perMinute + `limit_req_zone $host zone=one:1m rate=1r/s;`, `"one" is already bound to key "$arg_k"`},
		{`limit_req_zone $host zone=one:31k rate=1r/s;`, `zone "one" is too small`},
		{`limit_req_zone $host zone=one rate=1r/s;`, `invalid zone "one"`},
		{`limit_req_zone $host zone=one:x rate=1r/s;`, `invalid zone size "x"`},
		{`limit_req_zone $host zone=one:1m rate=0r/s;`, `invalid rate "0r/s"`},
		{`limit_req_zone $host zone=one:1m rate=1r/h;`, `invalid rate "1r/h"`},
		{`limit_req_zone $host zone=one:1m zone=two:1m;`, `needs zone=NAME:SIZE and rate=N`},
		{`limit_req_zone $hosst zone=one:1m rate=1r/s;`, `hosst`},
		{`limit_req_status 600;`, `from 400 to 599`},
		{`limit_req_log_level debug;`, `"debug" is not one of`},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text, Modules: modules()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.text, err, c.want)
		}
	}
	_, err := proxytest.Check(t, proxytest.Config{Text: `limit_req zone=perip; limit_req_zone $host zone=peripp:1m rate=1r/s;`, Modules: modules()})
	if all, ok := errors.AsType[config.Errors](err); !ok || all[0].Hint != `did you mean "peripp"?` {
		t.Errorf("no hint in %#v, want the hint %q", err, `did you mean "peripp"?`)
	}
	if _, err := proxytest.Check(t, proxytest.Config{Text: `server { limit_req zone=one; } ` + perMinute, Modules: modules()}); err != nil {
		t.Errorf("a zone declared later: %v", err)
	}
}

// TestADelayedRequestDelaysNoOther has delays of minutes on one event loop. They must neither
// keep the lead nor a goroutine.
func TestADelayedRequestDelaysNoOther(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: modules(),
		Text: perMinute + `server { listen 127.0.0.1:80; location / { limit_req zone=one burst=50; } }`})
	if got := s.Serves("/?k=a"); got != 200 {
		t.Fatalf("the first request: %d; want 200", got)
	}
	before := runtime.NumGoroutine()
	for range 40 {
		fmt.Fprint(s.Dial(""), "GET /?k=a HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	proxytest.Eventually(t, func() bool { return strings.Count(s.Log.String(), "delaying request") == 40 }, "fewer than 40 requests are delayed")
	if got := s.Serves("/?k=b"); got != 200 {
		t.Errorf("another client's request: %d; want 200", got)
	}
	if n := runtime.NumGoroutine(); n > before+20 {
		t.Errorf("%d goroutines, %d before 40 requests were delayed; want at most %d", n, before, before+20)
	}
}

// A delay ends at once if its client leaves, and if the server stops.
func TestADelayEndsWithItsClient(t *testing.T) {
	for _, c := range []struct {
		name       string
		goroutines bool
		leave      func(s *proxytest.Server, nc net.Conn)
	}{
		{"a client that closes", false, func(_ *proxytest.Server, nc net.Conn) { nc.Close() }},
		{"a client that resets", true, func(_ *proxytest.Server, nc net.Conn) { nc.(*net.TCPConn).SetLinger(0); nc.Close() }},
		{"a server that cuts", false, func(s *proxytest.Server, _ net.Conn) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			s.Engine.Shutdown(ctx, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: modules(), Goroutines: c.goroutines,
				Text: perMinute + `server { listen 127.0.0.1:80; location / { limit_req zone=one burst=50; } }`})
			s.Serves("/?k=a")
			nc := s.Dial("")
			fmt.Fprint(nc, "GET /?k=a HTTP/1.1\r\nHost: x\r\n\r\n")
			s.Log.Wait(t, "delaying request")
			c.leave(s, nc)
			proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "it waits on")
		})
	}
}

func TestLimitsWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx") }
