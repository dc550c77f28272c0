package rewrite

import (
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// content answers the requests that return does not.
func content() proxy.Module {
	return proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("content")) }))
		return nil
	}}
}

func start(t testing.TB, text string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(), content()}})
}

func TestReturnAnswersByItsCodeAndText(t *testing.T) {
	for _, c := range []struct {
		directive, target string
		status            int
		location, body    string
	}{
		{"return 200 hello;", "/", 200, "", "hello"},
		{`return 200 "$request_method $uri $arg_a";`, "/x?a=1", 200, "", "GET /x 1"},
		{"return 201;", "/", 201, "", ""},
		{"return 204;", "/", 204, "", ""},
		{"return 200 '';", "/", 200, "", ""},
		{"return 404 gone;", "/", 404, "", "gone"},
		{"return 418 teapot;", "/", 418, "", "teapot"},
		{"return 301 https://example.org/;", "/", 301, "https://example.org/", "*"},
		{"return 302 https://$host$request_uri;", "/a%20b?c=d", 302, "https://localhost/a%20b?c=d", "*"},
		{"return 303 /other;", "/", 303, "http://localhost/other", "*"},
		{"return 307 relative;", "/", 307, "relative", "*"},
		{"return 308 /x?$args;", "/y?z=1", 308, "http://localhost/x?z=1", "*"},
		{"return http://example.org$uri;", "/u", 302, "http://example.org/u", "*"},
		{"return https://example.org;", "/", 302, "https://example.org", "*"},
		{"return $scheme://example.org;", "/", 302, "http://example.org", "*"},
	} {
		t.Run(c.directive, func(t *testing.T) {
			rec := start(t, "server { listen 80; location / { "+c.directive+" } }").Get(c.target)
			if rec.Status != c.status || rec.Header.Get("Location") != c.location {
				t.Errorf("answered %d with Location %q, want %d and %q", rec.Status, rec.Header.Get("Location"), c.status, c.location)
			}
			if c.body != "*" && rec.Text() != c.body {
				t.Errorf("the body is %q, want %q", rec.Text(), c.body)
			}
		})
	}
}

func TestACodeAloneGivesAStatusPageOrItsErrorPage(t *testing.T) {
	s := start(t, `server { listen 80;
		location /plain { return 403; }
		location /paged { error_page 403 /page; return 403; }
		location /named { error_page 503 = @busy; return 503; }
		location /text { error_page 403 /page; return 403 mine; }
		location /page { return 200 page; }
		location @busy { return 200 named; } }`)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/plain", 403, "403 Forbidden"}, {"/paged", 403, "page"}, {"/named", 200, "named"}, {"/text", 403, "mine"},
	} {
		rec := s.Get(c.path)
		if rec.Status != c.status || !strings.Contains(rec.Text(), c.body) {
			t.Errorf("%s: %d %q, want %d and %q", c.path, rec.Status, rec.Text(), c.status, c.body)
		}
	}
}

func TestATextHasTheTypeOfThePath(t *testing.T) {
	s := start(t, `server { listen 80; default_type text/plain; types { text/css css; application/json json; } location / { return 200 "{}"; } }`)
	for path, want := range map[string]string{"/a.css": "text/css", "/b.json": "application/json", "/c": "text/plain"} {
		if got := s.Get(path).Header.Get("Content-Type"); got != want {
			t.Errorf("%s has the type %q, want %q", path, got, want)
		}
	}
}

func TestAServersReturnComesBeforeItsLocations(t *testing.T) {
	s := start(t, `server { listen 80; server_name whole; return 200 server; location /x { return 200 location; } }
		server { listen 80; server_name parts; location /x { return 200 location; location /x/y { } } location = /x { return 200 exact; } location / { } }`)
	for _, c := range []struct{ host, path, want string }{
		{"whole", "/", "server"}, {"whole", "/x", "server"},
		{"parts", "/", "content"}, {"parts", "/x", "exact"}, {"parts", "/x/", "location"}, {"parts", "/x/y", "content"},
	} {
		if got := s.Do(proxytest.Request{Host: c.host, Target: c.path}).Text(); got != c.want {
			t.Errorf("%s%s: %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func TestTheFirstReturnOfABlockCounts(t *testing.T) {
	if got := start(t, "server { listen 80; location / { return 200 first; return 200 second; } }").Get("/").Text(); got != "first" {
		t.Errorf("got %q, want the first return's text", got)
	}
}

func TestReturn444ClosesWithoutAnAnswer(t *testing.T) {
	rec := start(t, "server { listen 80; return 444; }").Get("/")
	if rec.Heads != 0 || rec.Body.Len() > 0 || !rec.Aborted && !rec.Dropped {
		t.Errorf("%d heads, body %q, dropped %v", rec.Heads, rec.Text(), rec.Dropped)
	}
}

func TestHeadGetsNoBody(t *testing.T) {
	rec := start(t, "server { listen 80; return 200 hello; }").Do(proxytest.Request{Method: "HEAD"})
	if rec.Status != 200 || rec.Length != 5 || rec.Body.Len() > 0 {
		t.Errorf("%d with length %d and body %q; want 200, 5 and no body", rec.Status, rec.Length, rec.Text())
	}
}

func TestMistakesOfReturnAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"return;":               "argument",
		"return abc;":           `alicorn.conf:1:28: invalid return code "abc"`,
		"return /path;":         `invalid return code "/path"`,
		"return 1000;":          `invalid return code "1000"`,
		"return -1;":            `invalid return code "-1"`,
		"return +200;":          `invalid return code "+200"`,
		"return http://x more;": `invalid return code "http://x"`,
		"return 200 a b;":       "argument",
		"return 200 $nothing;":  `unknown variable "$nothing"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), content()}, Text: "server { listen 80; " + text + " }"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
