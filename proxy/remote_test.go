package proxy_test

import (
	"net/netip"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxyproto"
)

func TestWhoIsNearby(t *testing.T) {
	for _, c := range []struct {
		peer, source string // source: of a PROXY header; "": none was sent
		want         bool
	}{
		{"127.0.0.1:1", "", true},
		{"10.1.2.3:1", "", true},
		{"[fd00::1]:1", "", true},
		{"[::ffff:10.1.2.3]:1", "", true},
		{"192.0.2.1:1", "", false},
		{"[2001:db8::1]:1", "", false},
		{"10.1.2.3:1", "192.0.2.1:1", false},
		{"127.0.0.1:1", "[2001:db8::1]:1", false},
		{"127.0.0.1:1", "[::ffff:192.0.2.1]:1", false},
		{"192.0.2.1:1", "10.1.2.3:1", true},
		{"", "", true},
		{"", "192.0.2.1:1", false},
	} {
		conn := &proxy.Conn{RemoteAddr: "unix:"}
		if c.peer != "" {
			conn.SetRemote(netip.MustParseAddrPort(c.peer))
		}
		if c.source != "" {
			conn.ProxyProtocol = &proxyproto.Header{Source: netip.MustParseAddrPort(c.source)}
		}
		if got := conn.Nearby(); got != c.want {
			t.Errorf("peer %q, source %q: got %v, want %v", c.peer, c.source, got, c.want)
		}
	}
}
