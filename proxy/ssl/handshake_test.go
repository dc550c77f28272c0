package ssl_test

import (
	stdtls "crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// A scanner must not be able to fill a log of the default level.
func TestFailedHandshakesAreLoggedAtInfo(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, dir, "ca").server(t, "site", "site.example", false)
	s := proxytest.New(t, configOf(dir, `show ok; ssl_certificate site.crt; ssl_certificate_key site.key;
		server { listen 127.0.0.1:443 ssl; server_name site.example; }
		server { listen 127.0.0.1:444 ssl; client_header_timeout 300ms; }
		server { listen 127.0.0.1:443 ssl; server_name no.example; ssl_reject_handshake on; }
		server { listen 127.0.0.1:443 ssl; server_name *.file.example; ssl_certificate $ssl_server_name.crt; ssl_certificate_key site.key; }`))
	sends := func(text string) func(nc net.Conn) {
		return func(nc net.Conn) { io.WriteString(nc, text); io.Copy(io.Discard, nc) }
	}
	shakes := func(c *stdtls.Config) func(nc net.Conn) {
		return func(nc net.Conn) { stdtls.Client(nc, c).Handshake() }
	}
	for _, c := range []struct {
		name string
		do   func(nc net.Conn)
		want string
	}{
		{"nothing", func(net.Conn) {}, "client closed connection"},
		{"half a hello", func(nc net.Conn) { io.WriteString(nc, "\x16\x03\x01\x02\x00\x01") }, "peer closed connection in SSL handshake"},
		{"a reset", func(nc net.Conn) { io.WriteString(nc, "\x16\x03\x01"); nc.(*net.TCPConn).SetLinger(0) }, "peer closed connection in SSL handshake"},
		{"silence", sends(""), "client timed out"},
		{"half a hello and silence", sends("\x16\x03\x01"), "client timed out"},
		{"rubbish", sends("\x00\x01\x02\x03\x04\x05"), "SSL handshake failed (tls: first record does not look like a TLS handshake)"},
		{"an old client", shakes(&stdtls.Config{MinVersion: stdtls.VersionTLS10, MaxVersion: stdtls.VersionTLS11, InsecureSkipVerify: true}), "SSL handshake failed (tls: client offered only unsupported versions: [302 301])"},
		{"no common cipher", shakes(&stdtls.Config{MaxVersion: stdtls.VersionTLS12, InsecureSkipVerify: true, CipherSuites: []uint16{stdtls.TLS_RSA_WITH_AES_128_CBC_SHA}}),
			"SSL handshake failed (tls: no cipher suite supported by both client and server"},
		{"a client that knows no such authority", shakes(&stdtls.Config{ServerName: "site.example"}), "SSL handshake failed (remote error: tls: bad certificate)"},
		{"a server that rejects", shakes(&stdtls.Config{ServerName: "no.example"}), "handshake rejected"},
		{"a name without a file", shakes(&stdtls.Config{ServerName: "x.file.example"}), `SSL handshake failed (cannot read certificate "` + dir + `/x.file.example.crt": no such file or directory)`},
	} {
		s.Log.Reset()
		address := "127.0.0.1:443"
		if c.want == "client timed out" {
			address = "127.0.0.1:444"
		}
		nc := s.Dial(address)
		c.do(nc)
		nc.Close()
		want := "info: " + c.want
		s.Log.Wait(t, " while SSL handshaking, client: 127.0.0.1, server: "+address)
		if got := s.Log.String(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q", c.name, got, want)
		}
	}
}
