package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// Trailers reach the clients that can take them, behind short answers and long ones.
func TestTrailersArePassedOn(t *testing.T) {
	for _, body := range []string{"", "hello", strings.Repeat("0123456789", 50_000)} {
		ways(t, func(t *testing.T, cfg proxytest.Config) {
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				for r, _ := pc.request(); r != nil; r, _ = pc.request() {
					chunk := ""
					if body != "" {
						chunk = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
					}
					io.WriteString(pc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+"0\r\nX-T: one\r\nContent-Length: 5\r\nX-Hidden: two\r\nx-t:two \r\nX-Accel-Redirect: /a\r\n\r\n")
				}
			})
			cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; proxy_pass_trailers on; proxy_hide_header X-Hidden; } location /off { proxy_pass http://" + o.addr + "; } }"
			s := site(t, cfg)
			nc := s.Dial("")
			r := bufio.NewReader(nc)
			for range 2 {
				for target, want := range map[string]string{"/": "map[X-T:[one two]]", "/off": "map[]"} {
					fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", target)
					res, err := http.ReadResponse(r, nil)
					must(t, err)
					got, err := io.ReadAll(res.Body)
					if string(got) != body || err != nil || fmt.Sprint(res.Trailer) != want {
						t.Errorf("%s: %d of %d bytes, %v, trailer %v, want %s", target, len(got), len(body), err, res.Trailer, want)
					}
				}
			}
			if res, got := ask(t, s, get("/")); got != body || len(res.Trailer) > 0 {
				t.Errorf("a client without TE: got %d bytes, trailer %v, want %d bytes and none", len(got), res.Trailer, len(body))
			}
			if o.accepted() != 1 && !cfg.Goroutines {
				t.Errorf("got %d connections, want 1", o.accepted())
			}
		})
	}
}
