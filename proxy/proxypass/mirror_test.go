package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/mirror"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// noted collects the requests that an origin gets.
type noted struct {
	mu  sync.Mutex
	all []string
}

func (n *noted) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	slices.Sort(all)
	return all
}

func (n *noted) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.all)
}

// play notes each request, and answers it.
func (n *noted) play(pc *peerConn) {
	for r, body := pc.request(); r != nil; r, body = pc.request() {
		n.mu.Lock()
		n.all = append(n.all, fmt.Sprintf("%s %s length %d %s %s: %d bytes %.10s", r.Method, r.RequestURI, r.ContentLength, r.Header.Get("X-A"), r.Header.Get("X-Original"), len(body), body))
		n.mu.Unlock()
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

const mirroring = `client_max_body_size 0; proxy_set_header X-Original $request_uri;
location / { mirror /copy; mirror /copy2; proxy_pass http://ORIGIN/main/; }
location /bodiless/ { mirror /copy; mirror_request_body off; proxy_pass http://ORIGIN/main/; }
location /off/ { mirror off; proxy_pass http://ORIGIN/main/; }
location /text/ { mirror /copy; mirror_request_body off; proxy_pass http://ORIGIN/main/; }
location /refused/ { mirror /copy; return 403; }
location /twice/ { mirror /again; proxy_pass http://ORIGIN/main/; }
location = /again { internal; mirror /copy; proxy_pass http://ORIGIN/again; }
location = /copy { internal; proxy_pass http://ORIGIN/copy$VARS; proxy_pass_request_body BODY; }
location = /copy2 { internal; proxy_pass http://ORIGIN/copy2; }`

// TestRequestsAreMirroredAsNginxMirrorsThem has both send copies.
func TestRequestsAreMirroredAsNginxMirrorsThem(t *testing.T) {
	ours, theirs := new(noted), new(noted)
	a, b := startOrigin(t, "tcp", ours.play), startOrigin(t, "tcp", theirs.play)
	text := func(o *origin) string {
		return strings.NewReplacer("ORIGIN", o.addr, "$VARS", "", "BODY", "on").Replace(mirroring)
	}
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; server { listen unix:DIR/s; proxy_http_version 1.1; proxy_set_header Connection ''; "+text(b)+" }")
	for _, goroutines := range []bool{false, true} {
		s := site(t, proxytest.Config{Goroutines: goroutines, Text: "server { listen 127.0.0.1:80; " + text(a) + " }",
			Modules: []proxy.Module{rewrite.Module(), static.Module(), mirror.Module(mirror.Options{})}})
		for _, request := range []string{
			get("/x?y"), "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc",
			"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000),
			"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			get("/bodiless/x"), get("/off/x"), get("/refused/x"), get("/twice/x"), "PUT /twice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		} {
			nc, err := net.Dial("unix", filepath.Join(dir, "s"))
			must(t, err)
			want := seen(t, nc, request)
			// The second request of a connection waits for the copies of the first.
			seen(t, nc, get("/off/end"))
			nc.Close()
			mine := s.Dial("")
			r := bufio.NewReader(mine)
			res, body := exchange(t, mine, r, request)
			exchange(t, mine, r, get("/off/end"))
			mine.Close()
			if got := fmt.Sprint(res.StatusCode, " "); !strings.HasPrefix(want, got) {
				t.Errorf("%.60q: ours %d %q, nginx %s", request, res.StatusCode, body, want)
			}
			if got, want := ours.take(), theirs.take(); !slices.Equal(got, want) {
				t.Errorf("%.60q\n ours  %q\n nginx %q", request, got, want)
			}
		}
	}
}

// A copy outlives its client, and its original's answer does not wait for it. A reload waits
// for both.
func TestACopyOutlivesItsClient(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		n, slow := new(noted), make(chan struct{})
		o := startOrigin(t, "tcp", n.play)
		late := startOrigin(t, "tcp", func(pc *peerConn) {
			r, body := pc.request()
			<-slow
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if r != nil {
				n.mu.Lock()
				n.all = append(n.all, "late "+body)
				n.mu.Unlock()
			}
		})
		cfg.Modules = []proxy.Module{mirror.Module(mirror.Options{})}
		cfg.Text = "server { listen 127.0.0.1:80; location / { mirror /copy; proxy_pass http://" + o.addr + "; } location /copy { proxy_pass http://" + late.addr + "; } }"
		s := site(t, cfg)
		nc := s.Dial("")
		if res, body := exchange(t, nc, bufio.NewReader(nc), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"); res.StatusCode != 200 || body != "ok" {
			t.Errorf("got %d %q, want 200 \"ok\"", res.StatusCode, body)
		}
		nc.Close()
		proxytest.Eventually(t, func() bool { return late.accepted() == 1 }, "there is no copy")
		close(slow)
		proxytest.Eventually(t, func() bool { return n.count() == 2 }, "the copy does not end")
		if got := n.take(); got[1] != "late abc" {
			t.Errorf("got %q, want \"late abc\" at 1", got)
		}
	})
}
