package proxytest

import (
	"crypto/tls"
	"path/filepath"
	"sync"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/transport"
)

// allWays are the ways in which a connection is served.
var allWays = [...]struct {
	name               string
	secure, goroutines bool
}{{"loop", false, false}, {"goroutine", false, true}, {"TLS over a loop", true, false}, {"TLS on a goroutine", true, true}}

// InAllWays runs test for connections that a loop or a goroutine serves, in clear text
// and over TLS.
func InAllWays(t *testing.T, test func(t *testing.T, secure, goroutines bool)) {
	for _, c := range allWays {
		t.Run(c.name, func(t *testing.T) { test(t, c.secure, c.goroutines) })
	}
}

// InAllWaysAtOnce is InAllWays for a test that waits for a timeout and computes little:
// it runs in all ways at the same time, however few tests run in parallel.
func InAllWaysAtOnce(t *testing.T, test func(t *testing.T, secure, goroutines bool)) {
	var wg sync.WaitGroup
	for _, c := range allWays {
		wg.Go(func() {
			t.Run(c.name, func(t *testing.T) { test(t, c.secure, c.goroutines) })
		})
	}
	wg.Wait()
}

// SecureSites is a Module's Generation that gives every Site with SSL a certificate.
// TLS offers protocols, and HTTP/1.1 behind them.
func SecureSites(t testing.TB, protocols ...string) func(*config.Scope, *proxy.Generation) error {
	t.Helper()
	dir := t.TempDir()
	WriteCertificate(t, dir, "a", Certificate{})
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	offered := append(protocols, transport.HTTP1, "acme-tls/1")
	return func(_ *config.Scope, g *proxy.Generation) error {
		for _, site := range g.Sites() {
			if site.SSL {
				site.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: offered}
			}
		}
		return nil
	}
}

// Leaving is a way in which a client leaves a server.
type Leaving struct {
	Name      string
	Secure    bool // by TLS
	Goroutine bool // no loop calls its connection
	Resets    bool // it resets the connection in place of closing it
}

// Leavings are the ways in which clients leave. Where a goroutine waits, an orderly close
// shows only when something is sent.
func Leavings() []Leaving {
	return []Leaving{
		{"a loop, reset", false, false, true}, {"a loop, closed", false, false, false},
		{"TLS, reset", true, false, true}, {"TLS, closed", true, false, false},
		{"a goroutine, reset", false, true, true},
	}
}
