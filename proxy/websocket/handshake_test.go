package websocket_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket/framestest"
)

// handshakes are requests and how they are answered: a status, or 101 and the fields that
// choose. They are by sections 4.2.1, 4.2.2 and 9.1 of RFC 6455 and 7.1 of RFC 7692.
var handshakes = []struct {
	name, replace, by string // of request
	want              string
}{
	{"as it should be", "", "", "101"},
	{"the names of fields and tokens in another case", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade", "UPGRADE: WebSocket\r\nconnection: UPGRADE", "101"},
	{"upgrade among others", "Upgrade: websocket", "Upgrade: h2c, websocket", "101"},
	{"upgrade in two lines", "Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket", "101"},
	{"connection in two lines", "Connection: keep-alive, Upgrade", "Connection: keep-alive\r\nConnection: Upgrade", "101"},
	{"no Upgrade", "Upgrade: websocket\r\n", "", "200"},
	{"another Upgrade", "Upgrade: websocket", "Upgrade: h2c", "200"},
	{"Connection without upgrade", "keep-alive, Upgrade", "keep-alive", "200"},
	{"another method", "GET / HTTP/1.1", "POST / HTTP/1.1", "200"},
	{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "200"},
	{"no version", "Sec-WebSocket-Version: 13\r\n", "", "426 Sec-WebSocket-Version: 13"},
	{"version 8", "Version: 13", "Version: 8", "426 Sec-WebSocket-Version: 13"},
	{"version 14", "Version: 13", "Version: 14", "426 Sec-WebSocket-Version: 13"},
	{"two versions", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8", "426 Sec-WebSocket-Version: 13"},
	{"version 013", "Version: 13", "Version: 013", "426 Sec-WebSocket-Version: 13"},
	{"no key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400"},
	{"two keys", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key", "400"},
	{"an empty key", "dGhlIHNhbXBsZSBub25jZQ==", "", "400"},
	{"a key of 15 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAA", "400"},
	{"a key of 17 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAAA=", "400"},
	{"a key that is not base64", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", "400"},
	{"a body", "\r\nConnection", "\r\nContent-Length: 1\r\nConnection", "400"},
	{"an empty body", "\r\nConnection", "\r\nContent-Length: 0\r\nConnection", "101"},
	{"a subprotocol", "\r\nConnection", "\r\nSec-WebSocket-Protocol: chat\r\nConnection", "101 Sec-WebSocket-Protocol: chat"},
	{"subprotocols", "\r\nConnection", "\r\nSec-WebSocket-Protocol: a.b , chat\r\nSec-WebSocket-Protocol: c\r\nConnection", "101 Sec-WebSocket-Protocol: a.b"},
	{"an invalid subprotocol", "\r\nConnection", "\r\nSec-WebSocket-Protocol: a, b c\r\nConnection", "400"},
	{"permessage-deflate", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"},
	{"Chromium's offer", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12"},
	{"a smaller window of the client", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9"},
	{"a larger window of the client", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12"},
	{"a window of the server", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits=12"},
	{"no context on either side", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
	{"a quoted value", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\"\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10"},
	{"the second of two offers", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7, permessage-deflate; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12"},
	{"offers in two lines", "\r\nConnection", "\r\nSec-WebSocket-Extensions: x-other; a=b\r\nSec-WebSocket-Extensions: PERMESSAGE-DEFLATE\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"},
	{"an unknown extension", "\r\nConnection", "\r\nSec-WebSocket-Extensions: x-webkit-deflate-frame\r\nConnection", "101"},
	{"an unknown parameter", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; level=9\r\nConnection", "101"},
	{"a parameter twice", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; client_max_window_bits=10\r\nConnection", "101"},
	{"a value that is none", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover=1\r\nConnection", "101"},
	{"a window without its value", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits\r\nConnection", "101"},
	{"a window of 16", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\nConnection", "101"},
	{"a window of 08", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=08\r\nConnection", "101"},
	{"malformed extensions", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; ; x\r\nConnection", "400"},
	{"an extension that is no token", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage deflate\r\nConnection", "400"},
	{"a quote without its end", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\r\nConnection", "400"},
}

func TestHandshakes(t *testing.T) {
	s := start(t, false, false, "", nil)
	for _, c := range handshakes {
		t.Run(c.name, func(t *testing.T) {
			asked := strings.Replace(request, c.replace, c.by, 1)
			if asked == request && c.replace != "" {
				t.Fatalf("%q does not occur in the request", c.replace)
			}
			if got := answer(t, s, asked); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// answer returns the status of the answer to a request, and its fields that choose.
func answer(t *testing.T, s *site, asked string) string {
	t.Helper()
	nc := s.connect(t)
	io.WriteString(nc, asked+"\r\n")
	lines := strings.Split(readHead(t, bufio.NewReader(nc)), "\r\n")
	got := lines[0][len("HTTP/1.1 "):][:3]
	upgrade := false
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions":
			got += " " + line
		case "Upgrade":
			upgrade = line == "Upgrade: websocket"
		}
	}
	if upgrade != (got[:3] == "101" || got[:3] == "426") {
		t.Errorf("an answer with status %s has Upgrade: websocket: %v", got, upgrade)
	}
	return got
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		rule, origin string
		want         string
	}{
		{"", "", "101"},
		{"", "https://evil.example.net", "101"},
		{"websocket_origin any;", "null", "101"},
		{"websocket_origin same;", "http://example.com", "101"},
		{"websocket_origin same;", "http://EXAMPLE.com:80", "101"},
		{"websocket_origin same;", "https://example.com", "403"},
		{"websocket_origin same;", "http://example.com:8080", "403"},
		{"websocket_origin same;", "http://example.com.evil.net", "403"},
		{"websocket_origin same;", "null", "403"},
		{"websocket_origin same;", "", "403"},
		{"websocket_origin same none;", "", "101"},
		{"websocket_origin none;", "http://example.com", "403"},
		{"websocket_origin a.test;", "https://a.test", "101"},
		{"websocket_origin A.test;", "http://a.TEST:8080", "101"},
		{"websocket_origin a.test;", "http://b.a.test", "403"},
		{"websocket_origin *.a.test;", "http://b.a.test", "101"},
		{"websocket_origin *.a.test;", "http://c.b.a.test", "101"},
		{"websocket_origin *.a.test;", "http://a.test", "403"},
		{"websocket_origin *.a.test;", "http://bad-a.test", "403"},
		{"websocket_origin [::1];", "http://[::1]:8000", "101"},
		{"websocket_origin https://a.test;", "https://a.test", "101"},
		{"websocket_origin https://a.test;", "https://a.test:443", "101"},
		{"websocket_origin https://a.test;", "http://a.test", "403"},
		{"websocket_origin https://a.test:8443;", "https://a.test:8443", "101"},
		{"websocket_origin ~^https://[a-z]+\\.test$;", "https://shop.test", "101"},
		{"websocket_origin ~^https://[a-z]+\\.test$;", "https://shop2.test", "403"},
		{"websocket_origin \"~(?=x)^$\";", "", "403"},
		{"websocket_origin b.test; websocket_origin a.test;", "http://a.test", "101"},
	} {
		t.Run(c.rule+" "+c.origin, func(t *testing.T) {
			t.Parallel()
			s := start(t, false, false, c.rule, nil)
			asked := request
			if c.origin != "" {
				asked += "Origin: " + c.origin + "\r\n"
			}
			if got := answer(t, s, asked); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWithoutCompressionNoneIsNegotiated(t *testing.T) {
	s := start(t, false, false, "websocket_compression off;", nil)
	if got := answer(t, s, request+"Sec-WebSocket-Extensions: permessage-deflate\r\n"); got != "101" {
		t.Errorf("got %q", got)
	}
	c := s.open(t, "permessage-deflate")
	c.Write(framestest.Frame(text|framestest.Rsv1, framestest.Deflated("x")))
	if got := c.outcome(t); got != "close 1002" {
		t.Errorf("got %q", got)
	}
}

func TestOriginsAreNotCheckedForOtherRequests(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_origin same;", nil)
		if got := answer(t, s, "GET / HTTP/1.1\r\nHost: example.com\r\nOrigin: http://evil.test\r\n"); got != "200" {
			t.Errorf("got %q", got)
		}
	})
}
