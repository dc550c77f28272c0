package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startTLS serves handler with a certificate as the benchmark's.
func startTLS(t *testing.T, handler http.Handler, settle func(*tls.Config)) *httptest.Server {
	t.Helper()
	id, err := newIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(id.cert, id.key)
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewUnstartedServer(handler)
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	backend.Config.ErrorLog = log.New(io.Discard, "", 0)
	settle(backend.TLS)
	backend.StartTLS()
	t.Cleanup(backend.Close)
	return backend
}

func TestEachRequestHasAFullHandshake(t *testing.T) {
	var requests, resumed, others atomic.Int64
	want := staticContent(40 << 10) // several records
	backend := startTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		if r.TLS.Version != tls.VersionTLS13 || r.TLS.CurveID != tls.X25519 {
			others.Add(1)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(want)))
		w.Write(want)
	}), func(*tls.Config) {})
	h := handshakes{addr: backend.Listener.Addr().String(), path: "/", want: want, connections: 3, duration: 200 * time.Millisecond}
	r, err := h.run(t.Context())
	if err != nil || len(r.errors) > 0 || r.requests == 0 {
		t.Fatalf("run = %+v, %v; want requests and no errors", r, err)
	}
	if int64(r.requests) != requests.Load() || resumed.Load() != 0 || others.Load() != 0 {
		t.Errorf("%d counted of %d requests, %d resumed, %d not of TLS 1.3 with X25519; want 0 and 0", r.requests, requests.Load(), resumed.Load(), others.Load())
	}
	if r.p50 == 0 || r.p99 < r.p50 || r.rate == 0 {
		t.Errorf("run = %+v, want a rate, and p99 no less than p50", r)
	}
}

func TestHandshakesNameWhatIsWrong(t *testing.T) {
	right := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "right") }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		settle  func(*tls.Config)
		reason  string
	}{
		{"another body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "wrong") }, func(*tls.Config) {}, "wrong body"},
		{"an old protocol", right, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "handshake"},
		{"another group", right, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} }, "handshake"},
		{"no end", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, func(*tls.Config) {}, "wrong body"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backend := startTLS(t, test.handler, test.settle)
			h := handshakes{addr: backend.Listener.Addr().String(), path: "/", want: []byte("right"), connections: 1, duration: 50 * time.Millisecond}
			r, err := h.run(t.Context())
			if err != nil || r.requests != 0 || !strings.Contains(strings.Join(r.errors, " "), test.reason) {
				t.Errorf("run = %+v, %v, want %q", r, err, test.reason)
			}
		})
	}
}

func TestTLSIsConfiguredAlike(t *testing.T) {
	site, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(site.dir)
	if site.tls, err = newIdentity(site.dir); err != nil {
		t.Fatal(err)
	}
	s, err := newServer(site, "nginx")
	if err != nil {
		t.Fatal(err)
	}
	if s.tls == nil || !strings.HasPrefix(s.url("/"), "https://") {
		t.Errorf("the server's address is %s", s.url("/"))
	}
	nginx := s.nginxConfiguration(site, "")
	for _, text := range []string{nginx, new(alicorn).configuration(site, s)} {
		for _, part := range []string{"listen " + s.addr + " ssl", "ssl_certificate " + site.tls.cert, "ssl_certificate_key " + site.tls.key, "ssl_protocols TLSv1.2 TLSv1.3;"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q is missing in\n%s", part, text)
			}
		}
	}
	file, err := s.write("nginx.conf", nginx)
	if err != nil {
		t.Fatal(err)
	}
	path, err := program("nginx")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "-t", "-q", "-p", s.dir, "-c", file, "-e", filepath.Join(s.dir, "error.log")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("nginx refuses the configuration: %v (want nothing):\n%s", err, out)
	}
}
