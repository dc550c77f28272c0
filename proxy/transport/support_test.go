package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

// way is a server that a loop or goroutines serve, in the clear or over TLS, behind
// a PROXY header. It answers with what the header said.
type way struct {
	*proxytest.Server
	secure bool
}

func newWay(t *testing.T, secure, goroutines bool, settings string) *way {
	t.Helper()
	modules := []proxy.Module{rewrite.Module()}
	ssl := ""
	if secure {
		ssl = " ssl"
		modules = append(modules, proxy.Module{Name: "secure", Generation: proxytest.SecureSites(t)})
	}
	return &way{proxytest.New(t, proxytest.Config{Goroutines: goroutines, Modules: modules, Serve: http1.Serve,
		Text: "server { listen 127.0.0.1:8000" + ssl + " proxy_protocol; " + settings + ` location / { return 200 "$proxy_protocol_addr $remote_addr $scheme"; } }`}), secure}
}

// inAllWays runs test on a loop and on goroutines, in the clear and over TLS.
func inAllWays(t *testing.T, settings string, test func(t *testing.T, w *way)) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) { test(t, newWay(t, secure, goroutines, settings)) })
}

const last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// ask sends two requests, pipelined, on nc, behind the header; it returns the
// bodies of the answers.
func (w *way) ask(t *testing.T, nc net.Conn) string {
	t.Helper()
	if w.secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := io.WriteString(nc, strings.Replace(last, "close", "keep-alive", 1)+last); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return bodies(string(got))
}

// bodies returns the bodies of answers, one a line.
func bodies(answers string) string {
	var all []string
	for _, part := range strings.Split(answers, "HTTP/1.1 ")[1:] {
		_, body, _ := strings.Cut(part, "\r\n\r\n")
		all = append(all, body)
	}
	return strings.Join(all, "\n")
}

// want is two answers of w where the header named addr; "": none.
func (w *way) want(addr string) string {
	body := addr + " 127.0.0.1 http"
	if w.secure {
		body += "s"
	}
	return body + "\n" + body
}

func send(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}
