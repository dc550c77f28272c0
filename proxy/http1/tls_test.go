package http1_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// newTLSServer starts a server with a TLS address. It answers with the scheme, whether the
// connection has TLS, and the body; /large has 100 KB.
func newTLSServer(t *testing.T, settings string) *proxytest.Server {
	content := proxy.Module{
		Name: "content",
		Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				if x.Req.Path == "/large" {
					return x.Res.Reply(200, "text/plain", bytes.Repeat([]byte("x"), 100000))
				}
				body, err := io.ReadAll(x.Body())
				if err != nil {
					return err
				}
				return x.Res.Reply(200, "text/plain", fmt.Appendf(nil, "%s %v [%s]", x.Req.Scheme, x.Conn.TLS != nil, body))
			}))
			return nil
		},
		Generation: proxytest.SecureSites(t),
	}
	return proxytest.New(t, proxytest.Config{
		Text:    "server { listen 127.0.0.1:8443 ssl; lingering_timeout 100ms; " + settings + " }",
		Modules: []proxy.Module{content}, Serve: http1.Serve,
	})
}

func TestTLSConnectionsAreServedAlike(t *testing.T) {
	s := newTLSServer(t, "")
	for _, c := range []rawCase{
		{"pipelined", get + "\r\n" + next, "200 https true [] 200 https true []"},
		{"bodies", post + "Content-Length: 3\r\n\r\nabc" + post + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + next,
			"200 https true [abc] 200 https true [a] 200 https true []"},
		{"large", "GET /large HTTP/1.1\r\n" + host + "\r\n" + next, "200 " + strings.Repeat("x", 100000) + " 200 https true []"},
		{"malformed", get + "X\r\n\r\n", "400"},
	} {
		nc := tls.Client(s.Dial("127.0.0.1:8443"), &tls.Config{InsecureSkipVerify: true})
		io.WriteString(nc, c.request)
		answer, err := io.ReadAll(nc)
		if got := summary(string(answer)); got != c.want || err != nil {
			t.Errorf("%s: got the answer %.200q, %v, want %.200q", c.name, got, err, c.want)
		}
		nc.Close()
	}
}

// RFC 8737 section 3: after the handshake with acme-tls/1 the connection closes.
func TestAnAuthoritysHandshakeIsNotServed(t *testing.T) {
	s := newTLSServer(t, "")
	for _, c := range []struct{ protocol, want string }{{"http/1.1", "200 https true []"}, {"acme-tls/1", "-"}} {
		nc := tls.Client(s.Dial("127.0.0.1:8443"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{c.protocol}})
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, next)
		answer, _ := io.ReadAll(nc) // a reset is as good
		if got := summary(string(answer)); got != c.want {
			t.Errorf("%s: got the answer %q, want %q", c.protocol, got, c.want)
		}
		nc.Close()
	}
}

func TestSomethingElseThanTLSOnATLSAddress(t *testing.T) {
	patient, hasty := newTLSServer(t, "client_header_timeout 60s;"), newTLSServer(t, "client_header_timeout 200ms;")
	for _, c := range []struct {
		s                *proxytest.Server
		name, sent, want string
	}{
		{patient, "a plain request", get + "\r\n", "The plain HTTP request was sent to HTTPS port"},
		{hasty, "rubbish", "\x00\x01\x02\x03\x04\x05\x06", ""},
		{hasty, "silence", "", ""},
		{hasty, "half a handshake", "\x16\x03\x01", ""},
	} {
		nc := c.s.Dial("127.0.0.1:8443")
		io.WriteString(nc, c.sent)
		answer, err := io.ReadAll(nc) // proxytest bounds it
		if ne, ok := err.(interface{ Timeout() bool }); ok && ne.Timeout() {
			t.Errorf("%s: the connection was not ended", c.name)
		}
		if plain := strings.HasPrefix(string(answer), "HTTP/1.1 400 "); plain != (c.want != "") || !strings.Contains(string(answer), c.want) {
			t.Errorf("%s: got the answer %q, want %q", c.name, answer, c.want)
		}
		nc.Close()
	}
}
