package proxypass

import (
	"fmt"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// ways runs a test with connections of loops, and with connections of goroutines.
func ways(t *testing.T, f func(t *testing.T, c proxytest.Config)) {
	for _, goroutines := range []bool{false, true} {
		t.Run(map[bool]string{false: "loops", true: "goroutines"}[goroutines], func(t *testing.T) {
			f(t, proxytest.Config{Goroutines: goroutines})
		})
	}
}

func TestAnswersOfAllFramings(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20_000)
	chunks := ""
	for i := 0; i < len(long); i += 10_000 {
		chunks += fmt.Sprintf("%x\r\n%s\r\n", 10_000, long[i:i+10_000])
	}
	for _, c := range []struct {
		name, method, answer string
		status               int
		body                 string
		kept                 bool
	}{
		{"a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"a long one", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), 200, long, true},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer-A: b\r\n\r\n", 200, "hello", true},
		{"long chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n", 200, long, true},
		{"nothing", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", true},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false},
		{"until the end, long", "GET", "HTTP/1.1 200 OK\r\n\r\n" + long, 200, long, false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", false},
		{"interim ones", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"an own status", "GET", "HTTP/1.1 299 Fine\r\nContent-Length: 2\r\n\r\nok", 299, "ok", true},
		{"closing", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		{"more than announced", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", 200, "hello", false},
		{"too few bytes", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 502, "", false},
		{"nothing at all", "GET", "", 502, "", false},
		{"no head", "GET", "hello\r\n\r\n", 502, "", false},
		{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 502, "", false},
		{"both framings", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "", false},
		{"an unknown coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502, "", false},
		{"a bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 502, "", false},
		{"a large head", "GET", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 0\r\n\r\n", 502, "", false},
		{"a switch of protocols", "GET", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 502, "", false},
		{"endless interim ones", "GET", strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 50), 502, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ways(t, func(t *testing.T, cfg proxytest.Config) {
				o := startOrigin(t, "tcp", func(pc *peerConn) {
					for {
						if r, _ := pc.request(); r == nil {
							return
						}
						fmt.Fprint(pc, c.answer)
						if !c.kept {
							return
						}
					}
				})
				cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; } }"
				s := site(t, cfg)
				for range 3 {
					res, body := ask(t, s, c.method+" / HTTP/1.1\r\nHost: a\r\n\r\n")
					if res.StatusCode != c.status || c.status != 502 && body != c.body {
						t.Fatalf("got %d, %d bytes %.100q, want %d, %d bytes", res.StatusCode, len(body), body, c.status, len(c.body))
					}
				}
				if want := map[bool]int{true: 1, false: 3}[c.kept]; o.accepted() != want {
					t.Errorf("%d connections, want %d\n%s", o.accepted(), want, s.Log.String())
				}
			})
		})
	}
}
