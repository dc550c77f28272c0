package proxypass

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/resolver/resolvertest"
	"alicorn/proxy/rewrite"
)

// shows answers with what it was asked, and a redirect to itself.
func shows(c *peerConn) {
	for r, body := c.request(); r != nil; r, body = c.request() {
		text := fmt.Sprintf("%s %s host %s; %s; %d bytes", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Target"), len(body))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nLocation: http://%s/a\r\nContent-Length: %d\r\n\r\n%s", r.Host, len(text), text)
	}
}

// besideNamed starts nginx and this program with the same servers, which ask names.
func besideNamed(t *testing.T, http, locations string, names *resolvertest.Server) (theirs, mine func() net.Conn, theirLog string, s *proxytest.Server) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	http = "resolver " + names.Addr + " ipv6=off; " + http
	server := "server_name site; absolute_redirect off; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header X-Target $proxy_host:$proxy_port; " + locations
	proxytest.StartNginx(t, dir, "access_log off; default_type text/plain; "+http+" server { listen unix:DIR/s; "+server+" }")
	s = site(t, proxytest.Config{Text: http + " server { listen 127.0.0.1:80; default_type text/plain; " + server + " }", Modules: []proxy.Module{rewrite.Module()}})
	theirs = func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	return theirs, func() net.Conn { return s.Dial("") }, filepath.Join(dir, "error.log"), s
}

// TestVariablesLeadWhereTheyLeadInNginx has both send the same requests to one origin.
func TestVariablesLeadWhereTheyLeadInNginx(t *testing.T) {
	tcp, socket := startOrigin(t, "tcp", shows), startOrigin(t, "unix", shows)
	names := resolvertest.Start(t)
	names.Set("a.test", "60 A 127.0.0.1")
	_, port, _ := net.SplitHostPort(tcp.addr)
	replace := strings.NewReplacer("TCP", tcp.addr, "PORT", port, "SOCKET", strings.TrimPrefix(socket.addr, "unix:"))
	theirs, mine, _, _ := besideNamed(t, replace.Replace("upstream u { server TCP; } upstream Mixed { server unix:SOCKET; }"), replace.Replace(`
		set $b TCP; set $sock SOCKET; set $u u; set $name a.test; set $none "";
		location /plain/ { proxy_pass http://$b; }
		location /uri/ { proxy_pass http://$b/new/; }
		location /args/ { proxy_pass http://$b/new?x=$arg_x; }
		location /query/ { proxy_pass http://$b?q=1; }
		location /whole/ { proxy_pass http://$b$request_uri; }
		location /decoded/ { proxy_pass http://$b/$arg_x; }
		location ~ ^/regex/(.*)$ { proxy_pass http://$b/r/$1; }
		location /host/ { proxy_pass http://$http_x_host:PORT$request_uri; }
		location /name/ { proxy_pass http://$name:PORT; }
		location /noport/ { proxy_pass http://$name/; }
		location /socket/ { proxy_pass http://unix:$sock; }
		location /socketuri/ { proxy_pass http://unix:$sock:/new; }
		location /socketempty/ { proxy_pass http://unix:$sock:; }
		location /block/ { proxy_pass http://$u; }
		location /blockuri/ { proxy_pass http://$u/y; }
		location /blockport/ { proxy_pass http://$u:80; }
		location /mixed/ { proxy_pass http://$http_x_host; }
		location /break/ { rewrite ^/break/(.*)$ /moved/$1 break; proxy_pass http://$b; }
		location /breakuri/ { rewrite ^/breakuri/(.*)$ /moved/$1 break; proxy_pass http://$b/z; }
		location /if/ { if ($arg_b) { proxy_pass http://$b/from-if; } }
		location /named/ { error_page 418 = @named; return 418; }
		location @named { proxy_pass http://$b; }
		location /redirect/ { proxy_pass http://$b; proxy_redirect http://$b/ /there/; }
		location /empty/ { proxy_pass http://$none; }
		location /junk/ { proxy_pass $arg_x; }
		location /set/ { proxy_pass http://$b; proxy_set_header Host $proxy_host-x; }
	`), names)
	for _, request := range []string{
		"GET /plain/ HTTP/1.1", "GET /plain/a%20b?c=d HTTP/1.1", "GET /plain//a/../b HTTP/1.1", "POST /plain/x HTTP/1.1\r\nContent-Length: 3",
		"GET /uri/ HTTP/1.1", "GET /uri/a?b HTTP/1.1", "GET /args/a?x=1 HTTP/1.1", "GET /args/a?x=%20y HTTP/1.1", "GET /query/a HTTP/1.1", "GET /query/a?b HTTP/1.1",
		"GET /whole/a%20b?c=d HTTP/1.1", "GET /decoded/?x=a%2fb HTTP/1.1", "GET /regex/a/b?c HTTP/1.1", "GET /regex/ HTTP/1.1",
		"GET /host/a?b HTTP/1.1\r\nX-Host: a.test", "GET /host/a?b HTTP/1.1\r\nX-Host: none.test", "GET /host/a HTTP/1.1\r\nX-Host: 127.0.0.1", "GET /host/a HTTP/1.1", "GET /host/a HTTP/1.1\r\nX-Host: [::1]",
		"GET /name/a?b HTTP/1.1", "GET /name/a%20 HTTP/1.1",
		"GET /socket/a HTTP/1.1", "GET /socketuri/a?b HTTP/1.1", "GET /socketempty/a?b HTTP/1.1",
		"GET /block/a?b HTTP/1.1", "GET /blockuri/a?b HTTP/1.1", "GET /blockport/ HTTP/1.1",
		"GET /mixed/ HTTP/1.1\r\nX-Host: mixed", "GET /mixed/ HTTP/1.1\r\nX-Host: MIXED/q", "GET /mixed/ HTTP/1.1\r\nX-Host: U", "GET /mixed/ HTTP/1.1\r\nX-Host: nosuch",
		"GET /break/a%20b?c HTTP/1.1", "GET /breakuri/a HTTP/1.1", "GET /if/a?b=1 HTTP/1.1", "GET /named/a%20b?c HTTP/1.1", "GET /redirect/a HTTP/1.1",
		"GET /empty/ HTTP/1.1", "GET /junk/ HTTP/1.1", "GET /junk/?x=http://127.0.0.1:PORT/y HTTP/1.1", "GET /junk/?x=ftp://127.0.0.1:PORT/y HTTP/1.1", "GET /junk/?x=http://127.0.0.1:99999/ HTTP/1.1",
		"GET /set/ HTTP/1.1", "HEAD /plain/ HTTP/1.1",
	} {
		request = replace.Replace(request) + "\r\nHost: site\r\n\r\n"
		if strings.Contains(request, "Content-Length: 3") {
			request += "abc"
		}
		if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
			t.Errorf("%q\n ours  %s\n nginx %s", request, got, want)
		}
	}
}

// whyUnresolved is what a log says of a name.
var whyUnresolved = regexp.MustCompile(`((?:no resolver defined|\S+ could not be resolved|no port in|invalid URL prefix) [^,]*),`)

func TestNamesThatLeadNowhereAreLoggedAsNginxLogsThem(t *testing.T) {
	names := resolvertest.Start(t)
	names.Fail("broken.test", 2)
	for _, c := range []struct{ name, location string }{
		{"unknown", "proxy_pass http://$arg_to:1;"},
		{"no port", "uwsgi_pass $arg_to;"},
		{"unknown to a gateway", "fastcgi_pass $arg_to:1;"},
	} {
		for _, to := range []string{"none.test", "broken.test"} {
			t.Run(c.name+" "+to, func(t *testing.T) {
				theirs, mine, file, s := besideNamed(t, "", "location / { "+c.location+" }", names)
				request := get("/?to=" + to)
				if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
					t.Errorf("ours %s, nginx %s", got, want)
				}
				var want []string
				proxytest.Eventually(t, func() bool {
					b, _ := os.ReadFile(file)
					want = whyUnresolved.FindStringSubmatch(string(b))
					return want != nil
				}, "nginx logs nothing")
				s.Log.Wait(t, want[1])
			})
		}
	}
	t.Run("no resolver", func(t *testing.T) {
		s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://$arg_to; } }")
		if res, _ := ask(t, s, get("/?to=a.test")); res.StatusCode != 502 {
			t.Errorf("got %s, want 502", res.Status)
		}
		s.Log.Wait(t, "no resolver defined to resolve a.test")
	})
}

// A request that waits for a name does not delay others, and ends when its client leaves.
func TestOthersGoOnWhileANameIsLookedUp(t *testing.T) {
	o := startOrigin(t, "tcp", shows)
	names := resolvertest.Start(t)
	names.Ignore("slow.test")
	s := newSite(t, "resolver "+names.Addr+"; server { listen 127.0.0.1:80; location /n/ { proxy_pass http://$arg_to:1; } location / { proxy_pass http://"+o.addr+"; } }")
	nc := s.Dial("")
	io.WriteString(nc, get("/n/?to=slow.test"))
	proxytest.Eventually(t, func() bool { return names.Asked("slow.test") > 0 }, "the name is not asked for")
	if status := s.Serves("/"); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	nc.Close()
	s.Log.Wait(t, "client prematurely closed connection")
}

// All addresses of a name are tried, and connections to them are kept: not more than for one
// upstream, even if requests name many servers.
func TestServersThatRequestsNameAreBounded(t *testing.T) {
	o := startOrigin(t, "tcp", shows)
	_, port, _ := net.SplitHostPort(o.addr)
	names := resolvertest.Start(t)
	names.Set("two.test", "60 A 127.0.0.2", "60 A 127.0.0.1") // nobody listens at the first
	s := newSite(t, "resolver "+names.Addr+"; server { listen 127.0.0.1:80; location / { proxy_pass http://$arg_to:"+port+"; } }")
	nc := s.Dial("")
	r := bufio.NewReader(nc)
	for range 20 {
		if res, body := exchange(t, nc, r, get("/?to=two.test")); res.StatusCode != 200 {
			t.Errorf("got %d %s, want 200", res.StatusCode, body)
		}
	}
	if n := o.accepted(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
	for i := range 100 {
		names.Set(fmt.Sprintf("n%d.test", i), "60 A 127.0.0.1")
		if res, body := exchange(t, nc, r, get(fmt.Sprintf("/?to=n%d.test", i))); res.StatusCode != 200 {
			t.Errorf("got %d %s, want 200", res.StatusCode, body)
		}
	}
	kept := 0
	s.Engine.Current().Resources.Each(func(key string, v any) {
		if g, ok := v.(*Group); ok {
			proxytest.Eventually(t, func() bool {
				g.lanes[0].mu.Lock()
				defer g.lanes[0].mu.Unlock()
				kept = g.lanes[0].kept.count
				return kept <= g.keep
			}, "%s keeps %d connections", key, kept)
		}
	})
	if kept == 0 {
		t.Errorf("got %d kept connections, want some", kept)
	}
}

// A body that is not read first, and one in a file, wait for the name too.
func TestBodiesWaitForTheName(t *testing.T) {
	o := startOrigin(t, "tcp", shows)
	_, port, _ := net.SplitHostPort(o.addr)
	names := resolvertest.Start(t)
	names.Set("a.test", "0 A 127.0.0.1")
	s := newSite(t, "resolver "+names.Addr+" ipv6=off; server { listen 127.0.0.1:80; client_max_body_size 0; location / { proxy_pass http://$arg_to:"+port+"; } location /f/ { proxy_request_buffering off; proxy_pass http://$arg_to:"+port+"; } }")
	for _, target := range []string{"/?to=a.test", "/f/?to=a.test"} {
		for _, size := range []int{0, 10, 100_000, 3 << 20} {
			for _, chunked := range []bool{false, true} {
				res, body := ask(t, s, "POST "+target+" HTTP/1.1\r\nHost: site\r\n"+framed(size, chunked))
				if res.StatusCode != 200 || !strings.HasSuffix(body, fmt.Sprintf("; %d bytes", size)) {
					t.Errorf("%s, %d bytes, chunked %v: got %d %s, want 200 with all bytes", target, size, chunked, res.StatusCode, body)
				}
			}
		}
	}
}

// A server is reached by TLS if the value asks for it, and without otherwise. Kept connections
// of both kinds to one address are apart.
func TestAValueAsksForTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	secure := startSecure(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, named("site.test"))}}, shows)
	plain := startOrigin(t, "tcp", shows)
	s := site(t, proxytest.Config{Modules: []proxy.Module{rewrite.Module()}, Text: "upstream sealed { server " + secure.addr + "; } upstream open { server " + plain.addr + "; } " +
		"server { listen 127.0.0.1:80; proxy_ssl_verify on; proxy_ssl_trusted_certificate " + ca.file + "; proxy_ssl_name site.test; location / { proxy_pass $arg_to; } " +
		"location /s { proxy_pass https://$arg_to/x; } location /o { proxy_pass http://$arg_to; } location /part { proxy_pass h$arg_to; } }"})
	for range 2 { // with connections that were kept
		for target, want := range map[string]int{
			"/?to=https://" + secure.addr: 200, "/?to=HTTPS://sealed": 200, "/?to=http://" + plain.addr: 200, "/?to=http://open": 200, "/part?to=ttps://sealed": 200, "/part?to=ttp://open": 200,
			"/s?to=sealed": 200, "/s?to=" + secure.addr: 200, "/o?to=open": 200, "/o?to=" + plain.addr: 200, "/s?to=open": 502, "/?to=https://" + plain.addr: 502, "/?to=http://sealed": 400,
		} {
			before := plain.accepted()
			res, _ := ask(t, s, get(target))
			if got := res.StatusCode; got != want && want != 400 || want == 400 && got == 200 {
				t.Errorf("%s: got %d, want %d, %d connections before", target, got, want, before)
			}
		}
	}
	if got := s.Log.String(); strings.Contains(got, "panic") {
		t.Error(got)
	}
}
