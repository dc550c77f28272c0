//go:build linux

// Package http2_test shows that package proxy can carry many exchanges on one connection. It
// has a small server side of HTTP/2, which no program uses. On one connection it serves
// files, an application, another server and delayed requests at once, also during reloads. A
// loop calls the connection. An exchange that waits keeps no other from going on, and has no
// goroutine while it is suspended.
package http2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"alicorn/appserver"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/limit"
	"alicorn/proxy/proxypass"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/transport"
	"alicorn/static"
)

// application answers with the request's body. Below /app/wait/ it first creates a file and
// waits for another; /app/endless sends without end, and creates a file when it is closed.
const application = `
import os, time
def await_file(name):
    open(name + ".begun", "w").close()
    while not os.path.exists(name + ".go"):
        time.sleep(0.01)
def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path.startswith("/app/wait/"):
        await_file(path[10:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return endless() if path == "/app/endless" else [body or b"hello"]
def endless():
    try:
        while True:
            yield b"more"
            time.sleep(0.01)
    finally:
        open("closed", "w").close()
`

const settings = `limit_req_zone $host zone=second:1m rate=1r/s; limit_req_zone $host zone=minute:1m rate=1r/m;
app web { wsgi app:app; directory DIR; python /usr/bin/python3; user root; workers 1; threads 8; }
server { listen 127.0.0.1:8000; listen 127.0.0.1:8443 ssl; root DIR/files;
    location /app/ { app_pass web; }
    location /passed/ { proxy_pass http://ORIGIN/; }
    location /delayed { limit_req zone=second burst=5; }
    location /late { limit_req zone=minute burst=5; }
    location /version { return 200 "VERSION"; }
}`

// site is a server, and a client with one connection to it.
type site struct {
	*proxytest.Server
	dir    string
	secure bool // the client has TLS and ALPN, otherwise prior knowledge
	client *http.Client
	conn   atomic.Pointer[conn] // the connection that the server has begun last
	origin string               // the address for proxy_pass
	dials  atomic.Int32         // how many connections the client has made
	large  []byte               // the body of /large
}

// inBothWays runs test with a client that negotiates HTTP/2 by ALPN, and with one that has
// prior knowledge.
func inBothWays(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("TLS", func(t *testing.T) { test(t, newSite(t, true)) })
	t.Run("clear text", func(t *testing.T) { test(t, newSite(t, false)) })
}

func newSite(t *testing.T, secure bool) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{secure: secure, dir: dir, large: bytes.Repeat([]byte("0123456789abcdef"), 20<<10)}
	s.origin = newOrigin(t, s.large)
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"app.py": application, "files/small": "small", "files/delayed": "delayed", "files/late": "late", "files/large": string(s.large)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(e *proxy.Engine, nc net.Conn, info *proxy.Conn) { s.conn.Store(serve(e, nc, info)) }
	loops, err := eventloop.NewUnwatched(1) // for workers and peers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loops.Close)
	s.Server = proxytest.New(t, proxytest.Config{Dir: dir, Text: s.text("1"), Serve: serve, Protocols: transport.Protocols{{Name: http2.NextProtoTLS, Serve: serve}}, Modules: append([]proxy.Module{
		{Name: "secure", Generation: proxytest.SecureSites(t, http2.NextProtoTLS)}, rewrite.Module(), limit.Module(), appserver.Module(appserver.NewRuntime(appserver.Options{Loops: loops}), nil),
	}, append(proxypass.Modules(proxypass.Options{Loops: loops}), static.Module())...)})
	s.client = &http.Client{Timeout: 2 * time.Minute, Transport: &http2.Transport{AllowHTTP: true,
		DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) {
			s.dials.Add(1)
			return s.dial()
		}}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// dial connects to the address with HTTP/2.
func (s *site) dial() (net.Conn, error) {
	if !s.secure {
		return s.Dial("127.0.0.1:8000"), nil
	}
	tc := tls.Client(s.Dial("127.0.0.1:8443"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS, transport.HTTP1}})
	err := tc.Handshake()
	if chosen := tc.ConnectionState().NegotiatedProtocol; err == nil && chosen != http2.NextProtoTLS {
		err = fmt.Errorf("ALPN: got %q, want %q", chosen, http2.NextProtoTLS)
	}
	return tc, err
}

// text returns the configuration in which /version answers with version.
func (s *site) text(version string) string {
	return strings.NewReplacer("DIR", s.dir, "ORIGIN", s.origin, "VERSION", version).Replace(settings)
}

// newOrigin returns the address of a server that answers /large with large, and other
// requests with their body.
func newOrigin(t *testing.T, large []byte) string {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := large
		if r.URL.Path != "/large" {
			answer, _ = io.ReadAll(r.Body)
		}
		w.Write(answer)
	}))
	t.Cleanup(o.Close)
	return o.Listener.Addr().String()
}

// reload begins a reload after which /version answers with version. settled returns when no
// request uses the Generation before it.
func (s *site) reload(t *testing.T, version string) (settled func()) {
	t.Helper()
	old := s.Engine.Current()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Reload(s.text(version)); err != nil {
			t.Error(err)
		}
	})
	proxytest.Eventually(t, func() bool { return s.Engine.Current() != old }, "the reload has not begun")
	return wg.Wait
}

// want sends a request, a POST if body is not nil, and compares status and body.
func (s *site) want(t *testing.T, path string, body []byte, want string) {
	t.Helper()
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://site"+path, content)
	if err != nil {
		t.Error(err)
		return
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if text := fmt.Sprint(res.StatusCode, " ", string(got)); err != nil || text != want {
		t.Errorf("%s: got %.60q (%d bytes), %v, want %.60q (%d)", path, text, len(text), err, want, len(want))
	}
}

// begin sends a request for which the application waits until release is called.
func (s *site) begin(t *testing.T, wg *sync.WaitGroup, name string) (release func()) {
	t.Helper()
	wg.Go(func() { s.want(t, "/app/wait/"+name, nil, "200 hello") })
	s.awaitFile(t, name+".begun")
	return func() { os.WriteFile(filepath.Join(s.Dir, name+".go"), nil, 0o644) }
}

// delay begins a request that limit_req delays by a minute. ended gets its error.
func (s *site) delay(ctx context.Context, t *testing.T) (ended chan error) {
	t.Helper()
	s.want(t, "/late", nil, "200 late")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://site/late", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() {
		res, err := s.client.Do(req)
		if err == nil {
			res.Body.Close()
			err = fmt.Errorf("got the answer %s, want none", res.Status)
		}
		ended <- err
	}()
	s.Log.Wait(t, "delaying request")
	return ended
}

// awaitFile waits until the application has created a file.
func (s *site) awaitFile(t *testing.T, name string) {
	t.Helper()
	proxytest.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(s.Dir, name))
		return err == nil
	}, "the application has not created %s", name)
}

// endless begins a response without an end.
func (s *site) endless(ctx context.Context, t *testing.T) io.ReadCloser {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://site/app/endless", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if _, err := io.ReadFull(res.Body, make([]byte, 40)); err != nil {
		t.Fatal(err)
	}
	return res.Body
}

// wantOneConnection fails if the client has made several connections.
func (s *site) wantOneConnection(t *testing.T) {
	t.Helper()
	if n := s.dials.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

func TestManyStreamsAreServedAtOnce(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		s.want(t, "/delayed", nil, "200 delayed")
		var wg sync.WaitGroup
		upload := bytes.Repeat([]byte("body"), 50<<10)
		for i := range 100 {
			wg.Go(func() {
				switch i % 6 {
				case 0:
					s.want(t, "/small", nil, "200 small")
				case 1:
					s.want(t, "/large", nil, "200 "+string(s.large))
				case 2:
					s.want(t, "/app/", nil, "200 hello")
				case 3:
					s.want(t, "/app/", upload, "200 "+string(upload))
				case 4:
					s.want(t, "/passed/large", nil, "200 "+string(s.large))
				case 5:
					s.want(t, "/passed/", upload, "200 "+string(upload))
				}
			})
		}
		for range 2 {
			wg.Go(func() { s.want(t, "/delayed", nil, "200 delayed") })
		}
		wg.Wait()
		s.wantOneConnection(t)
	})
}

// A delayed request also ends when its client cancels it.
func TestADelayedStreamDelaysNoOther(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := s.delay(ctx, t)
		for range 10 {
			s.want(t, "/small", nil, "200 small")
			s.want(t, "/app/", nil, "200 hello")
		}
		select {
		case err := <-ended:
			t.Errorf("the delayed request has ended with %v, want it to outlast twenty others", err)
		default:
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		s.wantOneConnection(t)
	})
}

func TestAReloadKeepsTheConnectionAndItsStreams(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		s.want(t, "/version", nil, "200 1")
		var wg sync.WaitGroup
		before := s.begin(t, &wg, "before")
		settled := s.reload(t, "2")
		after := s.begin(t, &wg, "after")
		s.want(t, "/version", nil, "200 2")
		before()
		settled()
		s.want(t, "/version", nil, "200 2")
		after()
		wg.Wait()
		s.wantOneConnection(t)
	})
}

// A stream keeps the Generation with which it has begun. Cutting a Generation resets its
// streams and no others.
func TestCuttingAGenerationCutsItsStreams(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		before := s.endless(t.Context(), t)
		old := s.Engine.Current()
		settled := s.reload(t, "2")
		after := s.endless(t.Context(), t)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Engine.Drain(over, old); err == nil {
			t.Error("Drain: got no error, want one, as the Generation has a stream")
		}
		if _, err := io.Copy(io.Discard, before); err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf(`the stream of the old Generation: got %v, want an error with "INTERNAL_ERROR"`, err)
		}
		settled()
		if _, err := io.ReadFull(after, make([]byte, 40)); err != nil {
			t.Errorf("the stream of the new Generation: got %v, want no error", err)
		}
		s.want(t, "/version", nil, "200 2")
		s.wantOneConnection(t)
	})
}

func TestCancellingAStreamEndsItsResponse(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(t.Context())
		s.endless(ctx, t)
		cancel()
		s.awaitFile(t, "closed")
		s.want(t, "/app/", nil, "200 hello")
		s.wantOneConnection(t)
	})
}

func TestAShutdownLetsStreamsEnd(t *testing.T) {
	inBothWays(t, func(t *testing.T, s *site) {
		var wg, down sync.WaitGroup
		release := s.begin(t, &wg, "last")
		down.Go(func() {
			if err := s.Engine.Shutdown(t.Context(), time.Minute); err != nil {
				t.Error(err)
			}
		})
		proxytest.Eventually(t, s.Engine.Draining, "the shutdown has not begun")
		release()
		wg.Wait()
		down.Wait()
	})
}
