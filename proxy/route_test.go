package proxy_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestTheAddressComesBeforeTheName(t *testing.T) {
	s := start(t, `
		server { listen 80; server_name a; say "any a"; location / { say "any a"; } }
		server { listen 80 default_server; server_name b; location / { say "any b"; } }
		server { listen 192.0.2.7:80; server_name c; location / { say "seven c"; } }
		server { listen 192.0.2.7:80; server_name a; location / { say "seven a"; } }
		server { listen 81; server_name a; location / { say "port a"; } }
		server { listen [::]:80; server_name a; location / { say "six a"; } }`)
	for _, c := range []struct{ listen, local, host, want string }{
		{"0.0.0.0:80", "192.0.2.1", "a", "any a"},
		{"0.0.0.0:80", "192.0.2.1", "b", "any b"},
		{"0.0.0.0:80", "192.0.2.1", "c", "any b"},
		{"0.0.0.0:80", "192.0.2.7", "a", "seven a"},
		{"0.0.0.0:80", "192.0.2.7", "b", "seven c"},
		{"0.0.0.0:80", "192.0.2.7", "c", "seven c"},
		{"0.0.0.0:81", "192.0.2.7", "b", "port a"},
		{"[::]:80", "2001:db8::1", "b", "six a"},
	} {
		if got := s.Do(proxytest.Request{Listen: c.listen, Local: c.local, Host: c.host}).Text(); got != c.want {
			t.Errorf("%s at %s: got %q, want %q", c.host, c.local, got, c.want)
		}
	}
	if n := len(s.Engine.Current().Listeners); n != 3 {
		t.Errorf("%d sockets for three addresses that do not cover each other, want 3", n)
	}
}

func TestAddressesOfListenAreReadAsNginxDoes(t *testing.T) {
	for text, want := range map[string]string{
		"8080": "0.0.0.0:8080", "*:81": "0.0.0.0:81", "127.0.0.1": "127.0.0.1:80", "127.0.0.1:82": "127.0.0.1:82",
		"localhost:83": "127.0.0.1:83", "[::1]": "[::1]:80", "[::]:84": "[::]:84", "*": "0.0.0.0:80", "0:85": "0.0.0.0:85", "127.1:86": "127.0.0.1:86",
	} {
		s := start(t, "server { listen "+text+"; }")
		if got := s.Engine.Current().Listeners[0].Address; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestServersWithoutListenShareAnAddress(t *testing.T) {
	s := start(t, `server { server_name a; say a; } server { server_name b; say b; }`)
	for _, host := range []string{"a", "b"} {
		if rec := s.Do(proxytest.Request{Host: host, Target: "/"}); rec.Text() != host {
			t.Errorf("%s answers %d %q", host, rec.Status, rec.Text())
		}
	}
}

func TestMistakesOfServersAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"server { listen 80 default_server; } server { listen 80 default_server; }", "a duplicate default server for 0.0.0.0:80; the first is at /conf/alicorn.conf:1:10"},
		{"server { listen 80 deferred; } server { listen 80; } server { listen *:80 sndbuf=8k; }", "duplicate listen options for 0.0.0.0:80; the first are at /conf/alicorn.conf:1:10"},
		{"server { listen 80; listen *:80; }", "listen *:80 is duplicate; the first is at /conf/alicorn.conf:1:10"},
		{"server { listen 70000; }", `invalid port in "70000"`},
		{"server { listen 127.0.0.1:+80; }", `invalid port in "127.0.0.1:+80"`},
		{"server { listen 127.0.0.1:-1; }", `invalid port in "127.0.0.1:-1"`},
		{"server { listen 127.0.0.1:18446744073709551696; }", "invalid port in"},
		{"server { listen 80 backlog=+1; }", `"+1" is not a whole number`},
		{"server { listen 80 backlog=4294967297; }", `"4294967297" is not a whole number`},
		{"client_header_buffer_size 9223372036854775807;", "is not from 1 to 1073741824 bytes"},
		{"large_client_header_buffers 4 9223372036854775807;", "is not from 1 to 1073741824 bytes"},
		{"large_client_header_buffers 4294967297 8k;", "not a whole number"},
		{"client_body_timeout 101y;", "too long; the longest is 100y"},
		{"keepalive_requests 4294967297;", "not a whole number"},
		{"max_headers 4294967297;", "not a whole number"},
		{"server { listen 80 sll; }", `invalid parameter "sll" of listen`},
		{"server { listen unix:; }", "no path in the unix domain socket"},
		{"server { listen unix:/" + strings.Repeat("x", 110) + "; }", "is 111 bytes long; the system allows 107"},
		{"server { listen 80 backlog=x; }", `"x" is not a whole number`},
		{"server { server_name a*b; }", `invalid server name "a*b"; an asterisk`},
		{"server { server_name http://a.example; }", `invalid server name "http://a.example"; it is a host alone`},
		{"server { server_name ~(; }", "regular expression"},
		{"server { location /a { } location /a { } }", `duplicate location "/a"; the first is at /conf/alicorn.conf:1:10`},
		{"server { location = /a { } location =/a { } }", `duplicate location "/a"`},
		{"server { location /a { } location ^~ /a { } }", `duplicate location "/a"`},
		{"server { location @a { } location @a { } }", `duplicate location "@a"`},
		{"server { location /a { location /b { } } }", `location "/b" is outside location "/a"`},
		{"server { location = /a { location /a/b { } } }", `cannot be inside the exact location "/a"`},
		{"server { location @a { location /b { } } }", `cannot be inside the named location "@a"`},
		{"server { location /a { location @b { } } }", `named location "@b" can be on the server level only`},
		{"server { location ~~ /a { } }", `invalid location modifier "~~"`},
		{"server { location ~ ( { } }", "regular expression"},
		{"location / { }", `directive "location" is not allowed in main (allowed in: server, location)`},
	} {
		err := mistakes(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "/conf/alicorn.conf:1:") {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
}

func TestANameThatNoRequestHasIsAWarning(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"a.example, b.example", `for the server name "a.example,"`},
		{"a.example:80", `for the server name "a.example:80"`},
		{"${DOMAIN}", `for the server name "${domain}"`},
		{"a.example [::1] _ $hostname .b.example ~^c:(.)$ '' b\u00fccher.example", ""},
	} {
		warnings, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; server_name " + c.names + "; }"})
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.names, err)
		case c.want == "" && len(warnings) > 0, c.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Msg, c.want)):
			t.Errorf("%s: %+v, want %q", c.names, warnings, c.want)
		}
	}
}

func TestANameOnTwoServersIsAWarning(t *testing.T) {
	warnings, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; server_name a; }\nserver { listen 80; server_name a; }"})
	if err != nil || len(warnings) != 1 || warnings[0].Msg != `conflicting server name "a" on 0.0.0.0:80, ignored` || warnings[0].Pos.Line != 2 {
		t.Errorf("got %+v, %v; want one, %q and 2", warnings, err, `conflicting server name "a" on 0.0.0.0:80, ignored`)
	}
}

func TestInternalLocationsAnswerRedirectsOnly(t *testing.T) {
	s := start(t, `server { listen 80; location /in { internal; say in; location /in/deeper { say deeper; } } location /to { goto /in; } }`)
	for target, want := range map[string]int{"/in": 404, "/in/x": 404, "/to": 200, "/in/deeper": 200} {
		if got := s.Get(target).Status; got != want {
			t.Errorf("%s: got %d, want %d", target, got, want)
		}
	}
}

func TestSlashRedirectsFollowTheSettings(t *testing.T) {
	for _, c := range []struct{ settings, host, want string }{
		{"", "h:8080", "http://h/a/?x=y"},
		{"absolute_redirect off;", "h", "/a/?x=y"},
		{"server_name_in_redirect on;", "h", "http://name.example/a/?x=y"},
		{"port_in_redirect off;", "h", "http://h/a/?x=y"},
	} {
		s := start(t, `server { listen 80; server_name name.example; `+c.settings+` location /a/ { slash; say a; } }`)
		r := s.Do(proxytest.Request{Target: "/a?x=y", Host: c.host})
		if got := r.Header.Get("Location"); r.Status != 301 || got != c.want {
			t.Errorf("%s: got %d %q, want %q", c.settings, r.Status, got, c.want)
		}
	}
}

func TestNestedSettingsAreInheritedByCopy(t *testing.T) {
	s := start(t, `header main; server { listen 80; location / { say root; location /own { header own; header two; say own; location /own/in { say in; } } } header server; }`)
	for target, want := range map[string]string{"/": "server", "/own": "own", "/own/in": "own"} {
		r := s.Get(target)
		if got := r.Header.Get("X-Header"); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	// what follows the block counts for it too, as in nginx
	if n := headers(s.Get("/own/in")); n != 2 {
		t.Errorf("%d lines, want both of the enclosing location", n)
	}
}

func headers(r *proxytest.Recorder) int {
	n := 0
	for f := range r.Header.All() {
		if f.Name == "X-Header" {
			n++
		}
	}
	return n
}

func TestARequestWithoutALocationIs404(t *testing.T) {
	s := start(t, `server { listen 80; location /a { say a; } }`)
	if got := s.Get("/b").Status; got != 404 {
		t.Errorf("got %d, want 404", got)
	}
}

func TestAServerWithoutListenGetsTheUsualPort(t *testing.T) {
	s := start(t, `server { say x; }`)
	if got := s.Engine.Current().Listeners[0].Address; got != "0.0.0.0:80" {
		t.Errorf(`got %s, want "0.0.0.0:80"`, got)
	}
	if got := s.Get("/").Text(); got != "x" {
		t.Errorf(`got %q, want "x"`, got)
	}
}
