package proxypass

import (
	"errors"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

// whole answers each request with its head as it came.
func whole(pc *peerConn) {
	var head strings.Builder
	for {
		line, err := pc.r.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(strings.TrimRight(line, "\r\n") + "|")
	}
	pc.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + head.String()))
}

func TestRequestsAsTheyAreSent(t *testing.T) {
	o := startOrigin(t, "unix", whole)
	for _, c := range []struct{ name, settings, request, want string }{
		{"the usual fields", "", "GET /a HTTP/1.1\r\nHost: site\r\nAccept: x\r\n\r\n", "GET /a HTTP/1.1|Host: localhost|Accept: x|"},
		{"what concerns the client's connection", "", "GET / HTTP/1.1\r\nHost: site\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-Hop: a\r\nx-hop: b\r\nX-Stays: c\r\n\r\n",
			"GET / HTTP/1.1|Host: localhost|X-Stays: c|"},
		{"an announced body", "", "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 2\r\n\r\nab", "POST / HTTP/1.1|Host: localhost|Content-Length: 2|"},
		{"a chunked body", "", "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n", "POST / HTTP/1.1|Host: localhost|Content-Length: 2|Trailer: X|"},
		{"what is for a proxy behind", "", "GET / HTTP/1.1\r\nHost: site\r\nProxy-Authorization: x\r\nTrailers: y\r\n\r\n", "GET / HTTP/1.1|Host: localhost|Proxy-Authorization: x|Trailers: y|"},
		{"an empty body", "", "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1|Host: localhost|Content-Length: 0|"},
		{"no body", "proxy_pass_request_body off; proxy_set_header Content-Length '';", "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 2\r\n\r\nab", "POST / HTTP/1.1|Host: localhost|"},
		{"own fields", "proxy_set_header host $host:1; proxy_set_header X-A $arg_a; proxy_set_header X-B b; proxy_set_header X-B c; proxy_set_header Accept '';",
			"GET /?a= HTTP/1.1\r\nHost: site\r\nAccept: x\r\nX-B: d\r\nX-A: e\r\n\r\n", "GET /?a= HTTP/1.1|host: site:1|X-B: b|X-B: c|"},
		{"HTTP/1.0", "proxy_http_version 1.0;", "GET / HTTP/1.1\r\nHost: site\r\n\r\n", "GET / HTTP/1.0|Host: localhost|Connection: close|"},
		{"an upgrade", "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;", "GET / HTTP/1.1\r\nHost: site\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"GET / HTTP/1.1|Upgrade: websocket|Connection: upgrade|Host: localhost|"},
		{"no client fields", "proxy_pass_request_headers off; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", "GET / HTTP/1.1\r\nHost: site\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: a\r\n\r\n",
			"GET / HTTP/1.1|X-Forwarded-For: 192.0.2.1, 127.0.0.1|Host: localhost|"},
		{"a line end in a field", "proxy_set_header X-A $uri;", "GET /a%0d%0ab HTTP/1.1\r\nHost: site\r\n\r\n", "400"},
		{"a line end in arguments", "set $args \"a=$uri\"; rewrite ^ /x break;", "GET /a%0d%0ab%20c HTTP/1.1\r\nHost: site\r\n\r\n", "GET /x?a=/a%0D%0Ab%20c HTTP/1.1|Host: localhost|"},
		{"no method", "proxy_method $uri;", "GET /?m=a%20b HTTP/1.1\r\nHost: site\r\n\r\n", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; " + c.settings + " } }", Modules: []proxy.Module{rewrite.Module()}})
			res, body := ask(t, s, c.request)
			if got := body; c.want == "400" && res.StatusCode != 400 || c.want != "400" && got != c.want {
				t.Errorf("%d\n got %q\nwant %q", res.StatusCode, got, c.want)
			}
		})
	}
}

// A server with a mistake counts as a server of its block: there is no second error.
func TestAServerWithAMistakeIsOneMistake(t *testing.T) {
	for _, server := range []string{"127.0.0.1 weight=0", "127.0.0.1:99999", "127.0.0.1/", "http://127.0.0.1", "127.0.0.1 max_conns=x", "127.0.0.1 slow_start=x", "127.0.0.1 route=a;b", "", "127.0.0.1 backup weight=0"} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "upstream u { server " + server + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }",
			Modules: Modules(Options{})})
		if err == nil || strings.Count(err.Error(), "alicorn.conf:") != 1 {
			t.Errorf("%s: got %v, want one error", server, err)
		}
	}
	for _, line := range []string{"servr 127.0.0.1;", "Server 127.0.0.1;", "server 127.0.0.1 { }"} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "upstream u { " + line + " } server { listen 127.0.0.1:80; }", Modules: Modules(Options{})})
		if err == nil || strings.Count(err.Error(), "alicorn.conf:") != 1 {
			t.Errorf("%s: got %v, want one error", line, err)
		}
	}
}

func TestMistakesOfTheConfiguration(t *testing.T) {
	in := func(s string) string { return "server { listen 127.0.0.1:80; location / { " + s + " } }" }
	for _, c := range []struct{ text, want string }{
		{in("proxy_pass http://$nosuch;"), `1:55: unknown variable "$nosuch"`},
		{in("proxy_redirect default; proxy_pass http://$host;"), `"proxy_redirect default" cannot be used with "proxy_pass" directive with variables`},
		{in("proxy_pass httpx://a;"), `1:55: invalid URL "httpx://a" of proxy_pass; it must begin with "http://" or "https://"`},
		{in("proxy_pass https://127.0.0.1; proxy_ssl_verify on;"), `1:55: no proxy_ssl_trusted_certificate for proxy_ssl_verify`},
		{in("proxy_pass $host; proxy_ssl_verify on;"), `1:55: no proxy_ssl_trusted_certificate for proxy_ssl_verify`},
		{in("proxy_pass https://$host; proxy_ssl_verify on;"), `1:55: no proxy_ssl_trusted_certificate for proxy_ssl_verify`},
		{in("proxy_pass https://127.0.0.1; proxy_ssl_certificate data:x;"), `no "proxy_ssl_certificate_key" is defined for certificate`},
		{in("proxy_pass https://127.0.0.1; proxy_ssl_protocols TLSv9;"), `proxy_ssl_protocols: "TLSv9" is not a protocol`},
		{in("proxy_pass https://127.0.0.1; proxy_ssl_ciphers none;"), `proxy_ssl_ciphers: no cipher of "none" is left`},
		{in("uwsgi_pass suwsgi://127.0.0.1:1; uwsgi_ssl_verify on;"), `no uwsgi_ssl_trusted_certificate for uwsgi_ssl_verify`},
		{in("scgi_pass sscgi://127.0.0.1:1;"), `only uwsgi_pass and proxy_pass reach servers by TLS`},
		{in("proxy_pass a:1;"), `1:55: invalid URL "a:1" of proxy_pass; it must begin with "http://"`},
		{in("proxy_pass http://;"), `no host`},
		{in("proxy_pass http://a:0;"), `invalid port "0"; it is a number from 1 to 65535`},
		{in("proxy_pass http://[::g];"), `invalid IPv6 address "[::g]"`},
		{in("proxy_pass http://unix:run;"), `does not begin with "/"`},
		{in("proxy_pass 'http://127.0.0.1/a b';"), `it has a space or a control character`},
		{"server { listen 127.0.0.1:80; location ~ x { proxy_pass http://127.0.0.1/a; } }", "proxy_pass cannot have a URI"},
		{"upstream u { server 127.0.0.1; } " + in("proxy_pass http://u:8;"), `upstream "u" may not have port 8`},
		{"upstream u { server 127.0.0.1; } upstream U { server 127.0.0.1; }" + in(""), `upstream "U" is duplicate; the first is at `},
		{"upstream we..bs { server 127.0.0.1; } " + in("proxy_pass http://we..bz;"), `host not found in upstream "we..bz"`},
		{"upstream we..bs { server 127.0.0.1; } " + in("proxy_pass http://we..bz;"), `did you mean the upstream "we..bs"?`},
		{"upstream u { } " + in(""), `upstream "u" is empty; it needs a server`},
		{"upstream u { server 127.0.0.1 backup; } " + in(""), `upstream "u" has no server that is not a backup`},
		{"upstream u { server 127.0.0.1; keepalive_requests -1; } " + in(""), `keepalive_requests: "-1" is not a whole number from 0`},
		{"upstream u { server 127.0.0.1 wait=1; } " + in(""), `invalid parameter "wait=1" of server`},
		{"upstream u { server 127.0.0.1 weight=0; } " + in(""), `weight: "0" is not a whole number from 1 to 65535`},
		{in("proxy_method 'a b';"), `proxy_method: invalid method "a b"`},
		{in("proxy_set_header 'a b' c;"), `invalid header field name "a b"`},
		{in("proxy_set_header Content-Length 5;"), `invalid value "5" of Content-Length: the server sets this field itself; only "" is allowed`},
		{in("proxy_next_upstream http_501;"), `"http_501" is not one of "error", `},
		{in("proxy_next_upstream off error;"), `"off" must stand alone`},
		{in("proxy_buffers 1 4k;"), `proxy_buffers: "1" is not a whole number from 2`},
		{in("proxy_redirect on;"), `"on" is not one of "default", "off"`},
		{in("proxy_redirect ~( b;"), `proxy_redirect: regular expression "("`},
		{in("proxy_cookie_domain a;"), `proxy_cookie_domain: invalid parameter "a"; it takes "off", or two texts`},
		{in("proxy_cookie_flags a fast;"), `proxy_cookie_flags: invalid flag "fast"`},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text, Modules: Modules(Options{})})
		var first *config.Error
		if !errors.As(err, &first) || !strings.Contains(err.Error()+"; "+first.Hint, c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}
