package proxy_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestVariablesHaveTheirValues(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	request := proxytest.Request{Method: "POST", Target: "/a%20b/../c//d?x=1&Y=2&x=3&empty=&flag", Host: "Www.Example.com:8080", Remote: "192.0.2.9", Local: "192.0.2.1",
		Body: "hello", HTTPS: true, Fields: []string{"X-One: 1", "x-one: 2", "Cookie: a=b; session=s=1", "Cookie: c=d", "User-Agent: test/1",
			"Content-Type: text/plain", "Authorization: Basic dXNlcjpwYXNz", "X_Under: u"}}
	for _, c := range []struct{ variable, want string }{
		{"$uri", "/c/d"}, {"$document_uri", "/c/d"}, {"$request_uri", "/a%20b/../c//d?x=1&Y=2&x=3&empty=&flag"},
		{"$args", "x=1&Y=2&x=3&empty=&flag"}, {"$query_string", "x=1&Y=2&x=3&empty=&flag"}, {"$is_args", "?"},
		{"$arg_x", "1"}, {"$ARG_y", "2"}, {"$arg_empty", ""}, {"$arg_flag", ""}, {"$arg_none", ""}, {"$arg_X", "1"},
		{"$host", "www.example.com"}, {"$http_host", "Www.Example.com:8080"}, {"$hostname", strings.ToLower(host)}, {"$pid", strconv.Itoa(os.Getpid())},
		{"$request_method", "POST"}, {"$scheme", "https"}, {"$https", "on"}, {"$server_name", "www.example.com"},
		{"$server_addr", "192.0.2.1"}, {"$server_port", "80"}, {"$server_protocol", "HTTP/1.1"},
		{"$remote_addr", "192.0.2.9"}, {"$remote_port", "50000"}, {"$binary_remote_addr", "\xc0\x00\x02\x09"}, {"$remote_user", "user"},
		{"$request", "POST /a%20b/../c//d?x=1&Y=2&x=3&empty=&flag HTTP/1.1"}, {"$content_type", "text/plain"}, {"$content_length", "5"},
		{"$request_port", "8080"}, {"$is_request_port", ":"}, {"$http2", ""}, {"$http3", ""}, {"$request_completion", ""}, {"$request_body", ""}, {"$sent_trailer_x", ""}, {"$upstream_queue_time", ""},
		{"$date_gmt", `~[A-Z][a-z]+day, \d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d GMT`}, {"$date_local", `~[A-Z][a-z]+day, \d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d \S+`}, {"$connection_time", `~\d+\.\d{3}`},
		{"$http_x_one", "1, 2"}, {"$http_cookie", "a=b; session=s=1; c=d"}, {"$http_user_agent", "test/1"}, {"$http_nothing", ""}, {"$http_x_under", "u"},
		{"$cookie_a", "b"}, {"$cookie_c", "d"}, {"$cookie_session", "s=1"}, {"$cookie_none", ""},
		{"$connection", `~\d+`}, {"$connection_requests", "1"}, {"$pipe", "."}, {"$request_length", `~\d+`}, {"$status", "000"}, {"$body_bytes_sent", "0"}, {"$bytes_sent", "0"},
		{"$request_time", `~\d+\.\d{3}`}, {"$msec", `~\d{10}\.\d{3}`}, {"$time_local", `~\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}`},
		{"$time_iso8601", `~\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d`}, {"$request_id", `~[0-9a-f]{32}`}, {"$limit_rate", "0"}, {"$alicorn_version", `~\d+\.\d+\.\d+`},
		{"${uri}x", "/c/dx"}, {"a$uri$is_args${args}z", "a/c/d?x=1&Y=2&x=3&empty=&flagz"}, {"$10", "0"},
	} {
		s := start(t, `server { listen 80; server_name www.example.com; location / { say "`+c.variable+`"; } }`)
		got := s.Do(request).Text()
		pattern, isPattern := strings.CutPrefix(c.want, "~")
		if isPattern && !regexp.MustCompile("^"+pattern+"$").MatchString(got) || !isPattern && got != c.want {
			t.Errorf("%s: got %q, want %q", c.variable, got, c.want)
		}
	}
}

func TestVariablesOfABareRequest(t *testing.T) {
	for _, c := range []struct {
		variable, want string
		r              proxytest.Request
	}{
		{"$is_args|$args", "|", proxytest.Request{Target: "/?"}},
		{"$host$is_request_port$request_port", "h", proxytest.Request{Host: "h"}},
		{"$host$is_request_port$request_port", "[::1]:80", proxytest.Request{Host: "[::1]:80"}},
		{"$host$is_request_port$request_port", "[::1]", proxytest.Request{Host: "[::1]"}},
		{"$host", "first.example", proxytest.Request{Host: "-", HTTP10: true}},
		{"$host", "h", proxytest.Request{Host: "h."}},
		{"$host", "[::1]", proxytest.Request{Host: "[::1]:80"}},
		{"$https|$scheme", "|http", proxytest.Request{}},
		{"$remote_user", "", proxytest.Request{Fields: []string{"Authorization: Bearer abc"}}},
		{"$request_uri|$uri", "/abs?q|/abs", proxytest.Request{Target: "http://x/abs?q"}},
		{"$uri|$args", "/|q", proxytest.Request{Target: "http://x?q"}},
		{"$binary_remote_addr", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", proxytest.Request{Remote: "2001:db8::1"}},
		{"$server_protocol", "HTTP/1.0", proxytest.Request{HTTP10: true}},
	} {
		s := start(t, `server { listen 80; server_name first.example second.example; location / { say "`+c.variable+`"; } }`)
		if got := s.Do(c.r).Text(); got != c.want {
			t.Errorf("%s of %+v: got %q, want %q", c.variable, c.r, got, c.want)
		}
	}
}

func TestTheRequestIdStaysThroughTheRequest(t *testing.T) {
	s := start(t, `server { listen 80; location / { say "$request_id $request_id"; } }`)
	id, again, _ := strings.Cut(s.Get("/").Text(), " ")
	other, _, _ := strings.Cut(s.Get("/").Text(), " ")
	if id != again || id == other || len(id) != 32 {
		t.Errorf("got %q, %q, then %q; want 32 characters, the same, then others", id, again, other)
	}
}

func TestGroupsOfNamesAndLocationsBecomeVariables(t *testing.T) {
	s := start(t, `server { listen 80; server_name ~^(?<sub>[a-z]+)\.example$;
		location ~ ^/(?<first>[^/]+)/(?P<second>.*)$ { say "$sub|$first|$second|$1|$2|$3"; }
		location ~ (?<=x)(y) { say "look:$1"; }
		location / { say "$sub|$first|$1"; } }`)
	for target, want := range map[string]string{"/a/b/c": "shop|a|b/c|a|b/c|", "/a": "shop||shop", "/xy": "look:y"} {
		if got := s.Do(proxytest.Request{Target: target, Host: "shop.example"}).Text(); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

// Exchanges are pooled: the next request must not see the captures of this one.
func TestGroupsDoNotOutliveTheirRequest(t *testing.T) {
	s := start(t, `server { listen 80; server_name x ~^(?<sub>[a-z]+)\.example$; location / { say "$sub|$1|$request_id"; } }`)
	for range 20 {
		if got := s.Do(proxytest.Request{Host: "shop.example"}).Text(); !strings.HasPrefix(got, "shop|shop|") {
			t.Fatalf(`got %q, want "shop|shop|" at its beginning`, got)
		}
		if got := s.Do(proxytest.Request{Host: "x"}).Text(); !strings.HasPrefix(got, "||") {
			t.Fatalf(`got %q, want "||" at its beginning`, got)
		}
	}
}

func TestVariablesOfTheResponseAreThoseThatWereSent(t *testing.T) {
	s := start(t, `header one; header two; server { listen 80; location / { say "body"; } }`)
	r := s.Get("/")
	if r.Header.Get("X-Header") != "one" || r.Header.Get("Content-Length") != "4" {
		t.Errorf(`got %+v, want "one" and "4"`, r.Header)
	}
}

func TestUnknownVariablesAreMistakesWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`say "$reqest_uri";`, `:1:14: unknown variable "$reqest_uri"; did you mean "$request_uri"?`},
		{`say "$xyzzy";`, `:1:14: unknown variable "$xyzzy"`},
		{`say "a$";`, `"$" is followed by no variable name`},
		{`say "a$ b";`, `"$" is followed by no variable name`},
		{`say "${uri";`, `the closing "}" of variable "${uri" is missing`},
		{`say "${}";`, `"$" is followed by no variable name`},
		{`say "$http_";`, `unknown variable "$http_"`},
	} {
		if err := mistakes(t, "server { "+c.text+" }"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
}

func TestAGroupMayBeUsedBeforeItIsDefined(t *testing.T) {
	s := start(t, `server { listen 80; say "$who"; location / { say "$who"; } server_name ~^(?<who>.*)$; }`)
	if got := s.Do(proxytest.Request{Host: "me"}).Text(); got != "me" {
		t.Errorf(`got %q, want "me"`, got)
	}
}

func TestServerNameIsTheFirstAsNginxHasIt(t *testing.T) {
	names := []string{".example.com", "*.example.com", "www.example.*", `~^(?<who>.+)\.example$`, "EXAMPLE.com", `""`, "_", "$hostname", ".a.example b.example"}
	text := ""
	for i, name := range names {
		text += fmt.Sprintf("server { listen unix:DIR/%d; server_name %s; location / { SAY \"$server_name\"; } }\n", i, name)
	}
	n := startNginx(t, strings.ReplaceAll(text, "SAY", "return 200"))
	for i, name := range names {
		s := start(t, fmt.Sprintf("server { listen 80; server_name %s; location / { say \"$server_name\"; } }", name))
		got := s.Do(proxytest.Request{Host: "h", Target: "/"}).Text()
		if want := n.get(t, strconv.Itoa(i), "h", "/").label; got != want {
			t.Errorf("%s: %q, nginx has %q", name, got, want)
		}
	}
}
