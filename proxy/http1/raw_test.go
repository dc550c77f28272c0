package http1_test

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// The parts that most cases share.
const (
	host    = "Host: a\r\n"
	last    = "Connection: close\r\n"
	get     = "GET / HTTP/1.1\r\n" + host
	post    = "POST / HTTP/1.1\r\n" + host
	coded   = post + "Transfer-Encoding: chunked\r\n\r\n"
	chunked = post + "Transfer-Encoding: chunked\r\n" + last + "\r\n"
	next    = "GET /next HTTP/1.1\r\n" + host + last + "\r\n"
	// probe follows the request of each wireCase. It must not be answered after a request
	// that is refused or has Connection: close.
	probe = "GET /probe HTTP/1.1\r\n" + host + last + "\r\n"
)

func long(n int) string { return strings.Repeat("a", n) }

// wireCase has the bytes that a client sends, and what comes back from us (want) and from
// nginx: the status of each answer, after 200 also its body, which is the request as it
// was read (method, path, host, request body), and then the end of the connection:
//
//	open    the probe, sent right after the request, was answered
//	closed  the probe was not answered, and the connection was closed
//	ended   there was no probe: the client ended its sending side, and then the server did
//
// In want a status may be a choice, "400/501".
type wireCase struct{ name, request, want, nginx, why string }

// same returns a case that nginx 1.22 answers as we do.
func same(name, request, want string) wireCase { return wireCase{name, request, want, want, ""} }

// ours returns a case that we answer in another way than nginx; why is the reason. If nginx
// is "-", nginx is not asked.
func ours(name, request, want, nginx, why string) wireCase {
	return wireCase{name, request, want, nginx, why}
}

// runCases sends the cases to us, in all ways in which connections are served, and to
// nginx, with the same settings of the server. rule is the reason for want in cases that
// have no reason of their own.
func runCases(t *testing.T, settings, rule string, cases []wireCase) {
	settings = "lingering_timeout 100ms; client_header_timeout 60s; " + settings
	s, dir := newServer(t, settings), startNginx(t, settings)
	// plain has no loops, as on a system without a poller.
	plain := proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8000; " + settings + " }", Modules: []proxy.Module{echo()}, Serve: http1.Serve, Goroutines: true,
	})
	secure := newSecureEcho(t, settings)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ways := map[string]net.Conn{
				"": s.Dial("127.0.0.1:8000"), " without a loop": plain.Dial("127.0.0.1:8000"),
				" over TLS": tls.Client(secure.Dial("127.0.0.1:8443"), &tls.Config{InsecureSkipVerify: true}),
			}
			if len(c.request) < 2000 {
				ways[" a byte at a time"] = &byByte{s.Dial("127.0.0.1:8000")}
			}
			for way, nc := range ways {
				if got := outcome(t, nc, c); !matches(got, c.want) {
					t.Errorf("answer%s: got %q, want %q (%s)", way, got, c.want, cmp.Or(c.why, rule))
				}
			}
			if c.nginx == "-" {
				return
			}
			nc, err := net.Dial("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(t, nc, c); !matches(got, c.nginx) {
				t.Errorf("nginx's answer: got %q, want %q (%s)", got, c.nginx, cmp.Or(c.why, rule))
			}
		})
	}
}

// newSecureEcho is newServer with TLS.
func newSecureEcho(t *testing.T, settings string) *proxytest.Server {
	content := echo()
	content.Generation = proxytest.SecureSites(t)
	return proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8443 ssl; " + settings + " }", Modules: []proxy.Module{content}, Serve: http1.Serve,
	})
}

// byByte is a connection that sends each byte by itself.
type byByte struct{ net.Conn }

// Write sends p byte by byte.
func (b *byByte) Write(p []byte) (n int, err error) {
	for ; n < len(p) && err == nil; n++ {
		_, err = b.Conn.Write(p[n : n+1])
	}
	return n, err
}

// CloseWrite ends the sending side.
func (b *byByte) CloseWrite() error { return b.Conn.(*net.TCPConn).CloseWrite() }

// outcome sends c's request on nc and summarises what comes back.
func outcome(t *testing.T, nc net.Conn, c wireCase) string {
	t.Helper()
	defer nc.Close()
	ends := strings.HasSuffix(c.want, "ended")
	nc.SetDeadline(time.Now().Add(patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if ends {
			io.WriteString(nc, c.request)
			nc.(interface{ CloseWrite() error }).CloseWrite()
			return
		}
		io.WriteString(nc, c.request+probe)
	}()
	answer, err := io.ReadAll(nc)
	nc.Close()
	<-sent
	got := summary(string(answer))
	rest, probed := strings.CutSuffix(got, "200 GET /probe a []")
	_, pieces := nc.(*byByte)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return got + " hangs"
	case pieces && errors.Is(err, syscall.ECONNRESET):
		return got + " closed" // before the last pieces came
	case err != nil:
		return got + " " + err.Error()
	case probed:
		return rest + "open"
	case ends:
		return strings.TrimSpace(strings.TrimPrefix(got, "-") + " ended")
	}
	return strings.TrimSpace(strings.TrimPrefix(got, "-") + " closed")
}

// matches compares got and want word by word. A word of want may be a choice.
func matches(got, want string) bool {
	if got == want {
		return true
	}
	g, w := strings.Split(got, " "), strings.Split(want, " ")
	if len(g) != len(w) {
		return false
	}
	for i, word := range w {
		a, b, choice := strings.Cut(word, "/")
		if g[i] != word && (!choice || len(a) != 3 || g[i] != a && g[i] != b) {
			return false
		}
	}
	return true
}

// rawCase has the bytes that a client sends before it ends its sending side, and the
// summary of everything that comes back.
type rawCase struct{ name, request, want string }
