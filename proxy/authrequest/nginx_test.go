package authrequest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/limit"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// site is served by both. AUTH is what leads to the origin.
const site = `
	limit_req_zone $arg_k zone=one:1m rate=1r/m;
	server {
		listen LISTEN;
		root ROOT;
		add_header X-Seen "$user|$asked|$uri" always;
		location / { auth_request /auth/a?b=c; auth_request_set $user $arg_k; auth_request_set $asked "$request_method $request_uri $uri"; }
		location = /off { auth_request off; }
		location /page/ { auth_request /auth/; error_page 401 403 /login; error_page 500 =502 /login; }
		location /sent/ { auth_request /auth/; error_page 401 = @sent; error_page 403 /sentto; }
		location @sent { absolute_redirect off; return 302 /login?$arg_k; }
		location = /sentto { return 403; }
		location /file/ { auth_request /f; }
		location /missing/ { auth_request /none; }
		location /moved/ { auth_request /away; }
		location /rewritten/ { auth_request /changed; }
		location /limited/ { limit_req zone=one burst=5 nodelay; auth_request /limitedauth; }
		location /if/ { if ($arg_x) { set $more 1; } auth_request /auth/; }
		location = /login { return 200 "log in"; }
		location = /away { return 302 /auth/; }
		location = /changed { rewrite ^ /auth/x last; }
		location = /f { }
		location /auth/ { internal; AUTH }
		location /limitedauth { limit_req zone=one burst=5 nodelay; AUTH }
		location /nested/ { auth_request /inner/; }
		location /inner/ { auth_request /auth/; AUTH }
	}`

// requests are a target and fields; the origin answers with the status of X-Say, and
// the challenges of X-Challenge.
var requests = []struct {
	method, target string
	fields         []string
}{
	{"GET", "/g", []string{"X-Say: 200"}},
	{"GET", "/g?k=1&x=2", []string{"X-Say: 204"}},
	{"HEAD", "/g", []string{"X-Say: 201"}},
	{"POST", "/g", []string{"X-Say: 403", "Content-Length: 3"}},
	{"GET", "/g", []string{"X-Say: 401", "X-Challenge: Basic realm=\"a\""}},
	{"GET", "/g", []string{"X-Say: 401", "X-Challenge: Basic realm=\"a\", Digest x=y"}},
	{"GET", "/g", []string{"X-Say: 401"}},
	{"GET", "/g", []string{"X-Say: 403", "X-Challenge: Basic realm=\"a\""}},
	{"GET", "/g", []string{"X-Say: 404"}},
	{"GET", "/g", []string{"X-Say: 301"}},
	{"GET", "/g", []string{"X-Say: 500"}},
	{"GET", "/g", []string{"X-Say: 503"}},
	{"GET", "/g", []string{"X-Say: 200", "Range: bytes=1-2"}},
	{"GET", "/none", []string{"X-Say: 200"}},
	{"GET", "/off", []string{"X-Say: 403"}},
	{"GET", "/auth/", []string{"X-Say: 200"}},
	{"GET", "/page/f", []string{"X-Say: 401", "X-Challenge: Basic realm=\"a\""}},
	{"GET", "/page/f", []string{"X-Say: 403"}},
	{"GET", "/page/f", []string{"X-Say: 500"}},
	{"GET", "/page/f", []string{"X-Say: 200"}},
	{"GET", "/file/f", nil},
	{"GET", "/file/f", []string{"Range: bytes=1-2"}},
	{"GET", "/file/f", []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}},
	{"GET", "/missing/f", nil},
	{"GET", "/moved/f", nil},
	{"GET", "/rewritten/f", []string{"X-Say: 200"}},
	{"GET", "/rewritten/f", []string{"X-Say: 403"}},
	{"GET", "/limited/f?k=1", []string{"X-Say: 200"}},
	{"GET", "/if/f?x=1", []string{"X-Say: 403"}},
	{"GET", "/sent/f", []string{"X-Say: 401", "X-Challenge: Basic realm=\"a\""}},
	{"GET", "/sent/f", []string{"X-Say: 403"}},
	{"GET", "/nested/f", []string{"X-Say: 200"}},
	{"GET", "/nested/f", []string{"X-Say: 401"}},
}

func TestRequestsAreLetInAsNginxDoes(t *testing.T) {
	dir := proxytest.NginxDir(t)
	for _, name := range []string{"off", "f", "g", "page/f", "file/f", "limited/f", "rewritten/f", "if/f", "nested/f"} {
		path := filepath.Join(dir, "root", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("content"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	origin, err := net.Listen("unix", filepath.Join(dir, "origin"))
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	go http.Serve(origin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range r.Header.Values("X-Challenge") {
			w.Header().Add("WWW-Authenticate", c)
		}
		w.WriteHeader(said(r.Header.Get("X-Say")))
	}))
	text := strings.ReplaceAll(site, "ROOT", filepath.Join(dir, "root"))
	defer proxytest.StartNginx(t, dir, strings.NewReplacer("LISTEN", "unix:DIR/nginx", "AUTH", "proxy_pass http://unix:DIR/origin;").Replace(text))()
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		if secure {
			return // the same to a subrequest
		}
		ours := start(t, strings.NewReplacer("LISTEN", "127.0.0.1:80", "AUTH", "").Replace(text), goroutines)
		for _, r := range requests {
			want := ask(t, filepath.Join(dir, "nginx"), r.method, r.target, r.fields)
			if got := ask(t, ours.Addr("127.0.0.1:80"), r.method, r.target, r.fields); got != want {
				t.Errorf("%s %s %q\nours  %s\nnginx %s", r.method, r.target, r.fields, got, want)
			}
		}
	})
}

func TestRequestsAreLetInWhereEverythingWaits(t *testing.T) {
	proxytest.RunPausing(t, "LetIn", "Waits")
}

func said(text string) int {
	n, _ := strconv.Atoi(text)
	return max(n, 200)
}

func start(t *testing.T, text string, goroutines bool) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Serve: http1.Serve, Goroutines: goroutines,
		Modules: []proxy.Module{rewrite.Module(), limit.Module(), authrequest.Module(), header.Module(), origin(), static.Module()}})
}

// origin is the content of locations that authenticate: it answers as that of nginx
// does, once another goroutine has woken it.
func origin() proxy.Module {
	return proxy.Module{Name: "origin", Compile: func(_ *config.Scope, l *proxy.Location) error {
		if strings.HasPrefix(l.Name, "/auth") || strings.HasPrefix(l.Name, "/inner") || l.Name == "/limitedauth" {
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				err := x.Suspend(&later{})
				go x.Waker().Wake()
				return err
			}))
		}
		return nil
	}}
}

type later struct{}

func (later) Continue(x *proxy.Exchange) error {
	for f := range x.Req.Header.All() {
		if f.Name == "X-Challenge" {
			x.Res.Header.Add("WWW-Authenticate", f.Value)
		}
	}
	return x.Res.Reply(said(x.Req.Header.Get("X-Say")), "text/plain", []byte("an answer that nobody reads"))
}

// ask returns what is compared of an answer.
func ask(t *testing.T, address, method, target string, fields []string) string {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(fields, ""), "\r\n"))
	if method == "POST" {
		io.WriteString(nc, "abc")
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	if res.StatusCode < 300 {
		text = string(body)
	}
	return fmt.Sprintf("%d %q %s %q", res.StatusCode, strings.Join(res.Header.Values("Www-Authenticate"), ", "), res.Header.Get("X-Seen"), text)
}
