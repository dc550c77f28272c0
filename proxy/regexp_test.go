package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

func TestGroupsAreThoseOfPCREWhicheverEngineRuns(t *testing.T) {
	for _, c := range []struct{ pattern, path, want string }{
		{`^/(?<a>x)(y)`, "/xy", "x|y|x"},
		{`^/(?<a>x)(?!q)(y)`, "/xy", "x|y|x"},
		{`^/(y)(?!q)(?<a>x)`, "/yx", "y|x|x"},
		{`^/(?P<a>[[:alpha:]]+)(?!q)(\d)`, "/xy1", "xy|1|xy"},
		{`^/(?<a>\w)(?!q)\w*(é)`, "/xé", "x|é|x"},
		{`^/(z)?(?<a>x)(?!q)`, "/x", "|x|x"},
	} {
		s := start(t, `server { listen 80; location ~ "`+c.pattern+`" { say "$1|$2|$a"; } }`)
		if got := s.Get(c.path).Text(); got != c.want {
			t.Errorf("%s on %s: %q, want %q", c.pattern, c.path, got, c.want)
		}
	}
}

func TestAGroupCannotHaveTheNameOfTheServersVariables(t *testing.T) {
	for _, text := range []string{`location ~ ^/(?<host>x) { }`, `location ~ ^/(?<URI>x)(?!y) { }`, `server_name ~^(?<scheme>x)$;`} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; " + text + " }"})
		if err == nil || !strings.Contains(err.Error(), "is the server's own") || !strings.Contains(err.Error(), "alicorn.conf:1:") {
			t.Errorf(`%s: %v; want an error with "is the server's own" and "alicorn.conf:1:" in it`, text, err)
		}
	}
}

func TestACycleHasNoErrorPage(t *testing.T) {
	for _, recursive := range []string{"off", "on"} {
		s := start(t, `server { listen 80; recursive_error_pages `+recursive+`; error_page 500 /page; location / { goto /; } location /page { goto /page; } location /a { goto /a; } }`)
		for _, path := range []string{"/", "/page", "/a"} {
			if rec := s.Get(path); rec.Status != 500 || !strings.Contains(rec.Text(), "500 Internal Server Error") {
				t.Errorf(`%s, recursive_error_pages %s: %d %q; want 500 and "500 Internal Server Error" in it`, path, recursive, rec.Status, rec.Text())
			}
		}
		if n := strings.Count(s.Log.String(), "redirection cycle"); n != 3 {
			t.Errorf("%d lines about 3 cycles (want 3):\n%s", n, s.Log)
		}
	}
}

func TestVariablesMayBeWrittenInAnyCase(t *testing.T) {
	s := start(t, `server { listen 80; location ~ ^/(?<Part>.*)$ { say "$URI $Arg_X $HTTP_X_y $part $PART $cookie_Name"; } }`)
	if got, want := s.Get("/p?x=1", "X-Y: 2", "Cookie: nAME=3").Text(), "/p 1 2 p p 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAMatchThatTakesTooLongIsNotNoMatch has patterns that let a request in if they do not
// match.
func TestAMatchThatTakesTooLongIsNotNoMatch(t *testing.T) {
	bad := strings.Repeat("a", 40) + "b"
	for _, c := range []struct {
		name, text, host, target string
	}{
		{"location", `location ~ "^/(?!static/)(a+)+/$" { say no; }`, "x", "/" + bad},
		{"nested location", `location /a { location ~ "^/(?!static/)(a+)+/$" { say no; } }`, "x", "/" + bad},
		{"location in a regular expression's", `location ~ ^/ { say yes; location ~ "^/(?!static/)(a+)+/$" { say no; } }`, "x", "/" + bad},
		{"ignoring case", `location ~* "^/(?!static/)(a+)+/$" { say no; }`, "x", "/" + bad},
		{"server_name", `} server { listen 80; server_name "~^(?!b)(a+)+$"; say no;`, bad, "/"},
	} {
		s := start(t, `server { listen 80 default_server; say yes; `+c.text+` }`)
		rec := s.Do(proxytest.Request{Host: c.host, Target: c.target})
		if rec.Status != 500 || !strings.Contains(rec.Text(), "500 Internal Server Error") {
			t.Errorf("%s: %d %q, want 500", c.name, rec.Status, rec.Text())
		}
		if log := s.Log.String(); !strings.Contains(log, "it takes longer than 100ms") || !strings.Contains(log, "alicorn.conf:1:") {
			t.Errorf(`%s: the log does not name the directive: %s; want "it takes longer than 100ms" and "alicorn.conf:1:" in it`, c.name, log)
		}
		if rec := s.Do(proxytest.Request{Host: "x", Target: "/ok"}); rec.Status != 200 || rec.Text() != "yes" {
			t.Errorf(`%s: another path: %d %q; want 200 and "yes"`, c.name, rec.Status, rec.Text())
		}
	}
}

// TestAMatchThatWaitsForItsTurnDelaysNoOtherRequest: the server has one loop.
func TestAMatchThatWaitsForItsTurnDelaysNoOtherRequest(t *testing.T) {
	var pattern *proxy.Regexp
	watch := proxy.Module{Name: "watch", Compile: func(_ *config.Scope, l *proxy.Location) error {
		if l.Regex != nil {
			pattern = l.Regex
		}
		return nil
	}}
	s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: []proxy.Module{watch, words()},
		Text: `server { listen 127.0.0.1:80; location ~ "^/(?!static/)(a+)+/$" { say matched; } location = /other { say other; } }`})
	give := pattern.HoldTurn()
	waits := connect(s, "127.0.0.1:80")
	answer := make(chan string, 1)
	go func() {
		_, body, err := waits.get("/aa/")
		answer <- fmt.Sprint(body, err)
	}()
	proxytest.Eventually(t, func() bool { return pattern.Waiting() == 1 }, "nobody waits for the turn")
	if _, body, err := connect(s, "127.0.0.1:80").get("/other"); err != nil || body != "other" {
		t.Errorf(`beside a match that waits: %q, %v; want "other"`, body, err)
	}
	select {
	case got := <-answer:
		t.Errorf("it did not wait: %s", got)
	default:
	}
	give()
	if got := <-answer; got != "matched<nil>" {
		t.Errorf(`after its turn: %s; want "matched<nil>"`, got)
	}
}

// TestMatchesGetLessTimeAfterOneThatTookTooLong also checks that matches that need little
// time still match.
func TestMatchesGetLessTimeAfterOneThatTookTooLong(t *testing.T) {
	s := start(t, `server { listen 80; say other; location ~ "^/(?!static/)(a+)+/$" { say "matched $1"; } }`)
	bad := "/" + strings.Repeat("a", 40) + "b"
	for i, limit := range []string{"it takes longer than 100ms, client", "it takes longer than 3ms, the limit for 10s after", "it takes longer than 3ms, the limit for 10s after"} {
		if rec := s.Get(bad); rec.Status != 500 {
			t.Errorf("request %d: %d %q, want 500", i, rec.Status, rec.Text())
		}
		if n := strings.Count(s.Log.String(), limit); n != max(i, 1) {
			t.Errorf("request %d: %d lines with %q in the log (want %d):\n%s", i, n, limit, max(i, 1), s.Log)
		}
		for path, want := range map[string]string{"/aaa/": "matched aaa", "/b": "other"} {
			if rec := s.Get(path); rec.Text() != want {
				t.Errorf("request %d: %s is %d %q, want %q", i, path, rec.Status, rec.Text(), want)
			}
		}
	}
}
