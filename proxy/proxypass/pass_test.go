package proxypass

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

func TestRequestsReachTheOriginAndAnswersTheClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			o := startOrigin(t, network, echo)
			s := newSite(t, "server { listen 127.0.0.1:80; client_max_body_size 0; location / { proxy_pass "+o.url+"; } }")
			nc := s.Dial("")
			r := bufio.NewReader(nc)
			for i := range 5 {
				res, body := exchange(t, nc, r, fmt.Sprintf("GET /a%%20b?c=%d HTTP/1.1\r\nHost: site\r\nX-A: b\r\nConnection: keep-alive\r\n\r\n", i))
				if res.StatusCode != 200 || !strings.HasPrefix(body, fmt.Sprintf("GET /a%%20b?c=%d HTTP/1.1\n", i)) || !strings.Contains(body, "X-A: b\n") || strings.Contains(body, "Connection") {
					t.Errorf("got %d %q, want 200 with the request's line and X-A, and no Connection", res.StatusCode, body)
				}
			}
			for _, size := range []int{0, 1, 1000, 20000, 100_000, 3 << 20} {
				data := strings.Repeat("x", size)
				res, body := exchange(t, nc, r, fmt.Sprintf("POST / HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\n\r\n%s", size, data))
				if _, got, _ := strings.Cut(body, fmt.Sprintf("length %d\n", size)); res.StatusCode != 200 || got != data {
					t.Errorf("a body of %d bytes: got %d, %d bytes back, want 200 and all", size, res.StatusCode, len(got))
				}
			}
			if o.accepted() != 1 {
				t.Errorf("got %d connections, want 1", o.accepted())
			}
		})
	}
}

// A reload keeps the connections of a block that has not changed.
func TestConnectionsLiveThroughAReload(t *testing.T) {
	o := startOrigin(t, "unix", echo)
	text := func(keep, label string) string {
		return "upstream u { server " + o.addr + "; keepalive " + keep + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; proxy_set_header X-Label " + label + "; } }"
	}
	s := newSite(t, text("4", "a"))
	for i, c := range []struct {
		keep, label string
		conns       int
	}{{"4", "a", 1}, {"4", "b", 1}, {"5", "c", 2}, {"5", "d", 2}} {
		if err := s.Reload(text(c.keep, c.label)); err != nil {
			t.Fatal(err)
		}
		if res, body := ask(t, s, get("/")); res.StatusCode != 200 || !strings.Contains(body, "X-Label: "+c.label) || o.accepted() != c.conns {
			t.Errorf("reload %d: %d %q, %d connections, want %d", i, res.StatusCode, body, o.accepted(), c.conns)
		}
	}
}
