package static_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/compress"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// limitedSite serves files of 150,000 bytes, a second's worth and half of one.
const limitedSite = `server { listen 127.0.0.1:80%s;
	location / { limit_rate 100000; }
	location /cached/ { alias %s/; open_file_cache max=10; limit_rate 100000; }
	location /set/ { alias %[2]s/; set $limit_rate $arg_r; }
	location /after/ { alias %[2]s/; limit_rate 100000; limit_rate_after $arg_r; }
	location /zipped/ { alias %[2]s/; gzip on; gzip_types *; limit_rate 200; }
	location /slow/ { alias %[2]s/; limit_rate 10; }
}`

func startLimited(t *testing.T, secure, goroutines bool) *proxytest.Server {
	t.Helper()
	www := folder(t, map[string]string{"a.bin": strings.Repeat("0123456789", 15_000), "random": random(150_000)})
	ssl := ""
	cfg := proxytest.Config{Dir: www, Serve: http1.Serve, Goroutines: goroutines, Modules: []proxy.Module{rewrite.Module(), compress.Module(), static.Module()}}
	if secure {
		ssl = " ssl"
		cfg.Modules = append(cfg.Modules, proxy.Module{Name: "secure", Generation: proxytest.SecureSites(t)})
	}
	cfg.Text = fmt.Sprintf("root "+www+"; "+limitedSite, ssl, www)
	return proxytest.New(t, cfg)
}

// random returns n bytes that cannot be compressed well.
func random(n int) string {
	b, seed := make([]byte, n), uint32(1)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return string(b)
}

func askLimited(t *testing.T, s *proxytest.Server, secure bool, target, fields string) (body []byte, took time.Duration) {
	t.Helper()
	var nc net.Conn = s.Dial("")
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	began := time.Now()
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", target, fields)
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	_, body, _ = bytes.Cut(all, []byte("\r\n\r\n"))
	return body, time.Since(began)
}

func TestFilesGoOutNoFasterThanLimitRateSays(t *testing.T) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
		s := startLimited(t, secure, goroutines)
		content := strings.Repeat("0123456789", 15_000)
		for _, c := range []struct {
			target, fields, want string
			least                time.Duration
		}{
			{"/a.bin", "", content, time.Second},
			{"/a.bin", "Range: bytes=20000-\r\n", content[20000:], time.Second},
			{"/cached/a.bin", "", content, time.Second},
			{"/set/a.bin?r=100000", "", content, time.Second},
			{"/set/a.bin?r=0", "", content, 0},
			{"/set/a.bin?r=nonsense", "", content, 0},
			{"/after/a.bin?r=40k", "", content, time.Second / 20},
			{"/after/a.bin?r=100k", "", content, 0},
		} {
			body, took := askLimited(t, s, secure, c.target, c.fields)
			if string(body) != c.want {
				t.Errorf("%s: %d bytes, want %d", c.target, len(body), len(c.want))
			}
			if took < c.least {
				t.Errorf("%s: took %s, want %s at least", c.target, took, c.least)
			}
		}
		if _, took := askLimited(t, s, secure, "/zipped/a.bin", "Accept-Encoding: gzip\r\n"); took < time.Second { // 458 bytes
			t.Errorf("a compressed file took %s, want one second at least", took)
		}
	})
}

func TestLimitedFilesNeedNoGoroutine(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := startLimited(t, secure, false)
		if s.Loops == nil {
			return // the system has no event loop
		}
		const clients = 100
		before := runtime.NumGoroutine()
		var conns []net.Conn
		for range clients {
			var nc net.Conn = s.Dial("")
			if secure {
				nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			}
			fmt.Fprint(nc, "GET /slow/a.bin HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := nc.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, nc)
		}
		proxytest.Eventually(t, func() bool { return runtime.NumGoroutine() < before+clients/2 }, "%d limited clients have no goroutine each", clients)
		for _, nc := range conns {
			nc.Close()
		}
		proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "clients that have left are forgotten")
	}
}

func TestASizeThatIsNoneIsAMistake(t *testing.T) {
	for _, text := range []string{"limit_rate x;", "limit_rate_after 1x;", "limit_rate -1;"} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{static.Module()}, Text: text})
		if err == nil || !strings.Contains(err.Error(), "is not a size: digits and at most one of k, m, g") {
			t.Errorf(`%s: %v; want an error with "is not a size: digits and at most one of k, m, g"`, text, err)
		}
	}
}
