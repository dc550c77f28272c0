package ssl_test

import (
	stdtls "crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/ssl"
	"alicorn/proxy/transport"
)

// TLS offers the protocols of the table, and each connection is served by the one that was
// chosen.
func TestTheTableOfProtocolsIsWhatTLSOffers(t *testing.T) {
	parrot := func(e *proxy.Engine, nc net.Conn, c *proxy.Conn) {
		io.WriteString(nc, "parrot")
		nc.Close()
		e.Unregister(c)
	}
	dir := t.TempDir()
	certificates(t, dir, "a")
	one := transport.Protocols{{Name: "parrot", Serve: parrot}}
	both := append(one, transport.Protocol{Name: transport.HTTP1, Serve: http1.Serve})
	s := proxytest.New(t, proxytest.Config{Dir: dir, Protocols: one, Serve: http1.Serve,
		Modules: []proxy.Module{ssl.New(both.Names()), show()},
		Text:    "show http; server { listen 127.0.0.1:443 ssl; ssl_certificate a.crt; ssl_certificate_key a.key; }"})
	for _, c := range []struct {
		name    string
		client  []string
		chosen  string
		answer  string
		refused bool
	}{
		{"the server prefers the first of its own", []string{"http/1.1", "parrot"}, "parrot", "parrot", false},
		{"the client knows the second alone", []string{"http/1.1"}, "http/1.1", "http", false},
		{"the client does not ask", nil, "", "http", false},
		{"they have none in common", []string{"h3"}, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tc := stdtls.Client(s.Dial(""), &stdtls.Config{InsecureSkipVerify: true, NextProtos: c.client})
			defer tc.Close()
			if err := tc.Handshake(); (err != nil) != c.refused {
				t.Fatalf("handshake: %v, want it refused: %v", err, c.refused)
			}
			if c.refused {
				return
			}
			if got := tc.ConnectionState().NegotiatedProtocol; got != c.chosen {
				t.Errorf("chosen: %q, want %q", got, c.chosen)
			}
			if c.answer == "http" {
				io.WriteString(tc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			}
			got, err := io.ReadAll(tc)
			if err != nil || !strings.HasSuffix(string(got), c.answer) {
				t.Errorf("answer %q, %v, want %q", got, err, c.answer)
			}
		})
	}
}
