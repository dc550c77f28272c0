package access_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/access"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxypass"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// site is a server whose clients are on a unix socket and say their address. SERVER and
// LOCATIONS are the rules.
const site = `
	set_real_ip_from unix:;
	server {
		listen unix:DIR/SIDE;
		root DIR/root;
		add_header X-Seen "$uri" always;
		SERVER
		LOCATIONS
		location = /ask { internal; proxy_pass http://unix:DIR/origin; }
		location = /page { return 200 "page"; }
	}`

// request is what a client sends. The origin answers a subrequest with the status say,
// and the challenge that it has for 401.
type request struct {
	method, target, from, say string
}

// beside sends the same requests to nginx and to this program. It compares the answers,
// and what the error logs say of each.
func beside(t *testing.T, http, server, locations string, requests []request) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	for _, name := range []string{"f", "1/f", "2/f", "3/f"} {
		path := filepath.Join(dir, "root", name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	serveOrigin(t, filepath.Join(dir, "origin"))
	text := strings.NewReplacer("SERVER", server, "LOCATIONS", locations).Replace(http + site)
	defer proxytest.StartNginx(t, dir, strings.ReplaceAll("access_log off; default_type text/plain;"+text, "SIDE", "nginx"))()
	ours := proxytest.New(t, proxytest.Config{Text: strings.NewReplacer("DIR", dir, "SIDE", "ours").Replace(text), Serve: http1.Serve,
		Modules: append([]proxy.Module{realip.Module(), rewrite.Module(), access.Module(), authrequest.Module(), header.Module()}, append(proxypass.Modules(proxypass.Options{}), static.Module())...)})
	theirLog := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "error.log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, r := range requests {
		logged := len(theirLog())
		want := ask(t, filepath.Join(dir, "nginx"), r)
		want += rulesIn(theirLog()[logged:])
		logged = len(ours.Log.String())
		got := ask(t, filepath.Join(dir, "ours"), r)
		got += rulesIn(ours.Log.String()[logged:])
		if got != want {
			t.Errorf("%s\n%s\n%+v\nours  %s\nnginx %s", server, locations, r, got, want)
		}
	}
}

func serveOrigin(t *testing.T, path string) {
	t.Helper()
	origin, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { origin.Close() })
	go http.Serve(origin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.Header.Get("X-Say"))
		if status == 401 {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		w.WriteHeader(max(status, 200))
		io.WriteString(w, "origin of "+r.Method+" "+r.RequestURI)
	}))
}

// ask returns what is compared of an answer.
func ask(t *testing.T, socket string, r request) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	from := ""
	if r.from != "" {
		from = "X-Real-IP: " + r.from + "\r\n"
	}
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: x\r\n%sX-Say: %s\r\nConnection: close\r\n\r\n", r.method, r.target, from, r.say)
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: r.method})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	text := fmt.Sprintf("%d %q %q ", res.StatusCode, res.Header.Values("WWW-Authenticate"), res.Header.Values("X-Seen"))
	if res.StatusCode < 300 {
		text += strconv.Quote(string(body))
	}
	return text
}

var ruleLine = regexp.MustCompile(`access forbidden by rule|auth request unexpected status: \d+`)

func rulesIn(log string) string { return fmt.Sprintf(" %q", ruleLine.FindAllString(log, -1)) }

// from makes a GET of target by each of the addresses.
func from(target string, addresses ...string) (all []request) {
	for _, a := range addresses {
		all = append(all, request{"GET", target, a, ""})
	}
	return all
}

var addresses = []string{"", "10.0.0.1", "10.1.2.3", "10.200.0.1", "192.0.2.1", "192.0.2.127", "192.0.2.128", "127.0.0.1", "0.0.0.0", "255.255.255.254", "::1", "2001:db8::1", "2001:db8:1::1", "2001:db9::1", "::",
	"::ffff:10.0.0.1", "::ffff:192.0.2.1", "fe80::1"}

func TestAddressesAreLetInAsNginxDoes(t *testing.T) {
	for _, rules := range []string{
		"allow all;", "deny all;", "allow 10.0.0.1; deny all;", "deny 10.0.0.1; allow all;", "deny 10.0.0.0/8;", "allow 10.0.0.0/9; deny 10.0.0.0/8;",
		"deny 192.0.2.0/25; allow 192.0.2.1;", "allow 192.0.2.1; deny 192.0.2.0/25;", "allow 2001:db8::/48; deny 2001:db8::/32;", "deny 0.0.0.0/0;", "deny ::/0;", "deny 0.0.0.0;",
		"allow unix:; deny all;", "deny unix:;", "deny unix:; allow all;", "allow 127.0.0.1; allow ::1; deny all;", "deny ::ffff:10.0.0.0/104;", "deny ::ffff:10.0.0.0/104; allow 192.0.2.1;",
		"deny 10.1.2.3/8;", "allow 010.000.0.1; deny all;", "deny 10..0.1;", "deny 2001:db8::1/33;", "deny fe80::/10; deny 10.0.0.1/32; allow ::1/128; deny all;", "allow 192.0.2.128/25; deny all; allow all;",
	} {
		beside(t, "", rules, "location / { }", from("/f", addresses...))
	}
}

func TestRulesAreInheritedAsInNginx(t *testing.T) {
	var requests []request
	for _, target := range []string{"/f", "/1/f", "/2/f", "/3/f", "/page", "/none"} {
		requests = append(requests, from(target, "", "10.0.0.1", "192.0.2.1", "::1")...)
	}
	const locations = `
		location / { }
		location /1/ { allow 192.0.2.1; deny all; }
		location /2/ { allow ::1; location /2/f { } }
		location /3/ { deny 10.0.0.1; if ($arg_x) { set $a 1; } error_page 403 /page; error_page 404 =200 /page; }`
	for _, outer := range []struct{ http, server string }{{"", ""}, {"deny 10.0.0.1;", ""}, {"deny all;", "allow 10.0.0.1;"}, {"", "deny all; error_page 403 /page;"}, {"satisfy any;", "deny 10.0.0.1;"}} {
		beside(t, outer.http, outer.server, locations, requests)
	}
}

func TestOneOrAllLetRequestsInAsInNginx(t *testing.T) {
	var requests []request
	for _, say := range []string{"200", "204", "401", "403", "404", "500"} {
		for _, from := range []string{"10.0.0.1", "192.0.2.1"} {
			for _, target := range []string{"/f", "/1/f", "/2/f", "/3/f"} {
				requests = append(requests, request{"GET", target, from, say}, request{"HEAD", target, from, say})
			}
		}
	}
	const locations = `
		location / { auth_request /ask; deny 10.0.0.1; }
		location /1/ { auth_request /ask; allow 192.0.2.1; deny all; error_page 401 403 /page; }
		location /2/ { auth_request /ask; allow 192.0.2.1; }
		location /3/ { allow 192.0.2.1; deny all; satisfy all; auth_request /ask; }`
	for _, server := range []string{"satisfy any;", "satisfy all;"} {
		beside(t, "", server, locations, requests)
	}
}

func TestMethodsAreLimitedAsNginxDoes(t *testing.T) {
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "LOCK", "PURGE"}
	sites := []struct{ server, locations string }{
		{"", `location / { limit_except GET { deny all; } }`},
		{"", `location / { limit_except GET POST { deny all; } return 200 "returned"; }`},
		{"", `location / { limit_except HEAD { deny all; } }`},
		{"", `location / { limit_except get post put { allow 10.0.0.1; deny all; } proxy_pass http://unix:DIR/origin; }`},
		{"", `location /1/ { limit_except GET { allow 10.0.0.1; deny all; } proxy_pass http://unix:DIR/origin:/x/; }`},
		{"rewrite ^/f$ /1/f;", `location /1/ { limit_except GET { allow 10.0.0.1; deny all; } proxy_pass http://unix:DIR/origin:/x/; }`},
		{"", `location / { limit_except GET HEAD { proxy_pass http://unix:DIR/origin; } }`},
		{"", `location / { limit_except POST { proxy_pass http://unix:DIR/origin; } rewrite ^ /page break; }`},
		{"deny 10.0.0.1;", `location / { limit_except GET { allow all; } }`},
		{"deny 10.0.0.1;", `location / { limit_except GET { } proxy_pass http://unix:DIR/origin; }`},
		{"", `location / { deny 10.0.0.1; limit_except GET { deny 192.0.2.1; } error_page 403 405 = @x; } location @x { limit_except POST { deny all; } return 200 "named"; }`},
		{"", `location / { limit_except GET { deny all; } location /1/ { } location /2/ { limit_except POST { deny all; } } }`},
		{"", `location / { limit_except GET { deny all; } if ($request_method = POST) { return 201; } if ($request_method = GET) { set $a 1; } }`},
		{"", `location / { auth_request /ask; limit_except GET { deny 10.0.0.1; } }`},
		{"satisfy any;", `location / { auth_request /ask; limit_except GET { deny 10.0.0.1; } proxy_pass http://unix:DIR/origin; }`},
		{"", `location / { try_files /f =404; limit_except GET { allow all; } }`},
		{"", `location ~ ^/1/ { limit_except GET { allow 10.0.0.1; deny all; } proxy_pass http://unix:DIR/origin; }`},
		{"error_page 403 /1/f;", `location / { limit_except POST { deny all; } } location /1/ { limit_except GET { deny all; } }`},
		{"", `location / { limit_except GET { deny all; } client_max_body_size 1; }`},
		{"", `location / { limit_except GET { allow 10.0.0.1; deny all; } uwsgi_pass unix:DIR/none; }`},
		{"", `location / { limit_except POST { allow 10.0.0.1; deny all; } fastcgi_pass unix:DIR/none; }`},
		{"", `location ~ f$ { limit_except POST { allow 10.0.0.1; deny all; } scgi_pass unix:DIR/none; }`},
		{"", `location / { uwsgi_pass unix:DIR/none; limit_except GET { proxy_pass http://unix:DIR/origin; } }`},
	}
	for _, s := range sites {
		var requests []request
		for _, method := range methods {
			for _, target := range []string{"/f", "/1/f", "/2/f?x=1"} {
				requests = append(requests, request{method, target, "10.0.0.1", "401"}, request{method, target, "192.0.2.1", "200"})
			}
		}
		beside(t, "", s.server, s.locations, requests)
	}
}

func TestRequestsAreLetInWhereEverythingWaits(t *testing.T) {
	proxytest.RunPausing(t, "Nginx", "Waits")
}
