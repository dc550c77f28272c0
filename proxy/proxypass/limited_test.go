package proxypass_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxypass"
	"alicorn/proxy/proxytest"
)

// limitedBody is what the origin sends: a second's worth and half of one.
var limitedBody = strings.Repeat("0123456789", 15_000)

// startLimited serves what an origin gives, whose answers say when they have ended.
func startLimited(t *testing.T, secure, goroutines, looped bool) (s *proxytest.Server, ended chan time.Time) {
	t.Helper()
	ended = make(chan time.Time, 1000)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rate := r.URL.Query().Get("rate"); rate != "" {
			w.Header().Set("X-Accel-Limit-Rate", rate)
		}
		times := 1
		if r.URL.Query().Get("large") != "" {
			times = 100 // more than the buffers of two sockets
		}
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", fmt.Sprint(times*len(limitedBody)))
		}
		for range times {
			io.WriteString(w, limitedBody)
		}
		ended <- time.Now()
	}))
	t.Cleanup(origin.Close)
	o, ssl := proxypass.Options{}, ""
	if looped {
		g, err := eventloop.NewUnwatched(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		o.Loops = g
	}
	cfg := proxytest.Config{Serve: http1.Serve, Goroutines: goroutines, Modules: proxypass.Modules(o)}
	if secure {
		ssl = " ssl"
		cfg.Modules = append(cfg.Modules, proxy.Module{Name: "secure", Generation: proxytest.SecureSites(t)})
	}
	cfg.Text = fmt.Sprintf(`server { listen 127.0.0.1:80%s;
		location / { proxy_pass %s; limit_rate 100000; }
		location /accel { proxy_pass %[2]s; }
		location /now { proxy_pass %[2]s; proxy_buffering off; limit_rate 100000; }
		location /slow { proxy_pass %[2]s; limit_rate 10; } }`, ssl, origin.URL)
	return proxytest.New(t, cfg), ended
}

func dialLimited(s *proxytest.Server, secure bool) net.Conn {
	if nc := s.Dial(""); secure {
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	} else {
		return nc
	}
}

func TestAnswersGoOutNoFasterThanLimitRateSays(t *testing.T) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
		s, ended := startLimited(t, secure, goroutines, !goroutines)
		for _, c := range []struct {
			target string
			least  time.Duration
			first  bool // the origin is done before the client
		}{
			{"/", time.Second, true},
			{"/?length=1", time.Second, true},
			{"/accel?rate=100000", time.Second, true},
			{"/accel?rate=x", 0, false},
			{"/?rate=0&length=1", 0, false},
			{"/now?length=1", time.Second, false},
		} {
			nc, began := dialLimited(s, secure), time.Now()
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", c.target)
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatalf("%s: %v", c.target, err)
			}
			body, err := io.ReadAll(res.Body)
			took := time.Since(began)
			if err != nil || string(body) != limitedBody {
				t.Errorf("%s: got %d bytes, %v, want %d", c.target, len(body), err, len(limitedBody))
			}
			if took < c.least {
				t.Errorf("%s: took %s, want %s at least", c.target, took, c.least)
			}
			if at := <-ended; c.first && !at.Before(began.Add(took)) {
				t.Errorf("%s: the origin has waited for the client, want that it does not", c.target)
			}
		}
		for _, target := range []string{"/slow?large=1", "/slow?large=1&length=1", "/accel?large=1&rate=10"} {
			nc := dialLimited(s, secure)
			fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatalf("%s: the origin waits for the client, want that it does not", target)
			}
			nc.Close()
		}
	})
}

func TestLimitedAnswersNeedNoGoroutine(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, ended := startLimited(t, secure, false, true)
		if s.Loops == nil {
			return // the system has no event loop
		}
		const clients = 50
		before := runtime.NumGoroutine()
		var conns []net.Conn
		for range clients {
			nc := dialLimited(s, secure)
			fmt.Fprint(nc, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := nc.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, nc)
		}
		for range clients {
			<-ended
		}
		// The origin has some goroutines for each kept connection.
		proxytest.Eventually(t, func() bool { return strings.Count(stacks(), "proxy.(*Exchange).Await") == 0 }, "no answer has a goroutine (%d before)", before)
		for _, nc := range conns {
			nc.Close()
		}
		proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 0 }, "clients that have left are forgotten")
	}
}

// stacks returns what all goroutines do.
func stacks() string {
	buf := make([]byte, 8<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
