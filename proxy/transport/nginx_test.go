package transport_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

// TestHeadersAreThoseOfNginx sends headers with a request in one segment. Where
// ours differs the case says what we do.
func TestHeadersAreThoseOfNginx(t *testing.T) {
	dir := proxytest.NginxDir(t)
	const server = `server { listen unix:DIR/NAME proxy_protocol; location / {
		return 200 "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$remote_addr"; } }`
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(server, "NAME", "n"))
	proxytest.New(t, proxytest.Config{Text: strings.NewReplacer("DIR", dir, "NAME", "o").Replace(server), Modules: []proxy.Module{rewrite.Module()}, Serve: http1.Serve})
	ask := func(name, header string) string {
		nc, err := net.Dial("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Minute))
		send(t, nc, header+last)
		answer, _ := io.ReadAll(nc) // closing with bytes unread resets
		return bodies(string(answer))
	}
	for _, c := range []struct{ header, ours string }{
		{header: text}, {header: binary}, {header: local}, {header: "PROXY UNKNOWN\r\n"}, {header: "PROXY UNKNOWN a b c\r\n"},
		{header: "PROXY TCP6 2001:db8::1 ::1 65535 1\r\n"}, {header: "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"},
		{header: "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + strings.Repeat("\x20\x01\x0d\xb8\x00\x00\x00\x01", 4) + "\x00\x01\x00\x02"},
		{header: "\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c" + strings.Repeat("\x01", 12)}, // datagrams
		{header: "\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"},
		{header: "\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x0c" + strings.Repeat("\x01", 12)}, // version 1
		{header: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0b" + strings.Repeat("\x01", 11)},
		{header: ""}, {header: "PROXY\r\n"}, {header: "PROXY \r\n"}, {header: "proxy TCP4 192.0.2.1 198.51.100.7 4711 80\r\n"},
		{header: "PROXY TCP4 192.0.2.1 198.51.100.7 4711\r\n"}, {header: "PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\n"},
		{header: "PROXY TCP4 192.0.2.1 198.51.100.7 4711 65536\r\n"}, {header: "PROXY TCP4 192.0.2.1 198.51.100.7 4711 80 \r\n"},
		{header: "PROXY TCP5 192.0.2.1 198.51.100.7 4711 80\r\n"}, {header: "PROXY TCP4  192.0.2.1 198.51.100.7 4711 80\r\n"},
		{header: "PROXY TCP4 192.0.2.1 198.51.100.7 -1 80\r\n"},
		// nginx takes any digits and dots for an address, and the specification does not.
		{"PROXY TCP4 192.0.2 198.51.100.7 4711 80\r\n", "closed"},
		{"PROXY TCP4 ::1 ::1 4711 80\r\n", "closed"},
		{"PROXY TCP4 192.0.2.1 198.51.100.7 04711 80\r\n", "closed"},
		{"PROXY UNKNOWNS\r\n", "closed"},
		{"\r\n\r\n\x00\r\nQUIT\n\x22\x11\x00\x0c" + strings.Repeat("\x01", 12), "closed"}, // an unknown command
		// nginx shows the text as it came.
		{"PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n", "2001:db8::1|1|::1|2|unix:"},
	} {
		theirs, got := ask("n", c.header), ask("o", c.header)
		switch {
		case c.ours == "" && got != theirs, c.ours == "closed" && (got != "" || theirs == ""), c.ours != "" && c.ours != "closed" && (got != c.ours || theirs == c.ours):
			t.Errorf("%q: got %q, nginx answers %q", c.header, got, theirs)
		}
	}
}
