package proxypass

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/resolver"
)

const patience = 60 * time.Second

// origin is a server whose script each of its connections runs.
type origin struct {
	addr  string // as proxy_pass has it: "127.0.0.1:4711", "unix:/path"
	url   string // "http://127.0.0.1:4711"
	mu    sync.Mutex
	conns int
}

// accepted returns how many connections there were.
func (o *origin) accepted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}

// peerConn is a connection to an origin.
type peerConn struct {
	net.Conn
	r      *bufio.Reader
	number int // of the connection, from 0
}

// request reads a request with its body; nil at the end of the connection. The time for it and
// its answer begins anew.
func (c *peerConn) request() (*http.Request, string) {
	c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadRequest(c.r)
	if err != nil {
		return nil, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, ""
	}
	return r, string(body)
}

// startOrigin runs script for each connection, which is closed when it returns, or when the
// test ends: a server that started earlier still keeps some. The network
// is "tcp", "unix", or "tls".
func startOrigin(t testing.TB, network string, script func(c *peerConn)) *origin {
	t.Helper()
	if network == "tls" {
		return startSecure(t, &tls.Config{Certificates: []tls.Certificate{newAuthority(t, "ca").issue(t, &x509.Certificate{DNSNames: []string{"origin"}})}}, script)
	}
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return serveOrigin(t, l, "http", script)
}

// startSecure runs script for each connection over TLS.
func startSecure(t testing.TB, c *tls.Config, script func(c *peerConn)) *origin {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	return serveOrigin(t, l, "https", script)
}

func serveOrigin(t testing.TB, l net.Listener, scheme string, script func(c *peerConn)) *origin {
	o := &origin{addr: l.Addr().String()}
	if l.Addr().Network() == "unix" {
		o.addr = "unix:" + o.addr
	}
	o.url = scheme + "://" + o.addr
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(patience))
			o.mu.Lock()
			c := &peerConn{nc, bufio.NewReader(nc), o.conns}
			o.conns++
			o.mu.Unlock()
			wg.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				script(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); wg.Wait() })
	return o
}

// echo answers each request with its line, fields and body.
func echo(c *peerConn) {
	for {
		r, body := c.request()
		if r == nil {
			return
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
		r.Header.Write(&b)
		if r.ContentLength > 0 || r.Header.Get("Content-Length") != "" {
			fmt.Fprintf(&b, "length %d\n", r.ContentLength)
		}
		text := strings.ReplaceAll(b.String(), "\r", "") + body
		if r.Method == "HEAD" {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text))
			continue
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

// says answers each request with the same bytes.
func says(answer string) func(c *peerConn) {
	return func(c *peerConn) {
		for {
			if r, _ := c.request(); r == nil {
				return
			}
			io.WriteString(c, answer)
		}
	}
}

// newSite runs servers with the feature.
func newSite(t testing.TB, text string) *proxytest.Server {
	t.Helper()
	return site(t, proxytest.Config{Text: text})
}

func site(t testing.TB, c proxytest.Config) *proxytest.Server {
	t.Helper()
	c.Serve = http1.Serve
	names := resolver.New()
	c.Modules = slices.Concat([]proxy.Module{names.Module()}, Modules(Options{Resolver: names}), c.Modules)
	return proxytest.New(t, c)
}

// ask sends a request and reads the answer.
func ask(t testing.TB, s *proxytest.Server, request string) (*http.Response, string) {
	t.Helper()
	nc := s.Dial("")
	defer nc.Close()
	return exchange(t, nc, bufio.NewReader(nc), request)
}

func exchange(t testing.TB, nc net.Conn, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return res, string(body) + "!" + err.Error()
	}
	return res, string(body)
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: site\r\n\r\n" }
