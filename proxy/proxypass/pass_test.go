package proxypass

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

func TestRequestsReachTheOriginAndAnswersTheClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			o := startOrigin(t, network, echo)
			s := newSite(t, "server { listen 127.0.0.1:80; client_max_body_size 0; location / { proxy_pass http://"+o.addr+"; } }")
			nc := s.Dial("")
			r := bufio.NewReader(nc)
			for i := range 5 {
				res, body := exchange(t, nc, r, fmt.Sprintf("GET /a%%20b?c=%d HTTP/1.1\r\nHost: site\r\nX-A: b\r\nConnection: keep-alive\r\n\r\n", i))
				if res.StatusCode != 200 || !strings.HasPrefix(body, fmt.Sprintf("GET /a%%20b?c=%d HTTP/1.1\n", i)) || !strings.Contains(body, "X-A: b\n") || strings.Contains(body, "Connection") {
					t.Errorf("%d %q", res.StatusCode, body)
				}
			}
			for _, size := range []int{0, 1, 1000, 20000, 100_000, 3 << 20} {
				data := strings.Repeat("x", size)
				res, body := exchange(t, nc, r, fmt.Sprintf("POST / HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\n\r\n%s", size, data))
				if _, got, _ := strings.Cut(body, fmt.Sprintf("length %d\n", size)); res.StatusCode != 200 || got != data {
					t.Errorf("a body of %d bytes: %d, %d bytes back", size, res.StatusCode, len(got))
				}
			}
			if o.accepted() != 1 {
				t.Errorf("%d connections", o.accepted())
			}
		})
	}
}
