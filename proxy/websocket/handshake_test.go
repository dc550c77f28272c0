package websocket_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket/framestest"
)

func TestHandshakes(t *testing.T) {
	s := start(t, false, false, "", nil)
	for _, c := range framestest.Handshakes() {
		t.Run(c.Name, func(t *testing.T) {
			if got := answer(t, s, c.Request); got != c.Want {
				t.Errorf("got %q, want %q", got, c.Want)
			}
		})
	}
}

// answer returns the status of the answer to the request asked, and its fields of the
// handshake.
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
		t.Errorf("an answer with status %s: got Upgrade: websocket %v, want %v", got, upgrade, !upgrade)
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
		{"websocket_origin ~^safari-web-extension://7A3F-0C5E$;", "safari-web-extension://7A3F-0C5E", "101"},
		{"websocket_origin ~^https://A\\.test$;", "https://a.test", "403"},
		{"websocket_origin ~*^https://A\\.test$;", "https://a.test", "101"},
		{"websocket_origin ~^https://a\\.test$;", "https://A.test", "403"},
		{"websocket_origin \"~(?=x)^$\";", "", "403"},
		{"websocket_origin b.test; websocket_origin a.test;", "http://a.test", "101"},
		{"websocket_origin \"~^(?!x)(a+)+$\" any;", strings.Repeat("a", 40) + "b", "500"}, // matching takes too long, which is not "no match"
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

func TestCompressionCanBeOff(t *testing.T) {
	s := start(t, false, false, "websocket_compression off;", nil)
	if got := answer(t, s, request+"Sec-WebSocket-Extensions: permessage-deflate\r\n"); got != "101" {
		t.Errorf(`got %q, want "101"`, got)
	}
	c := s.open(t, "permessage-deflate")
	c.Write(framestest.Frame(text|framestest.Rsv1, framestest.Deflated("x")))
	if got := c.outcome(t); got != "close 1002" {
		t.Errorf(`got %q, want "close 1002"`, got)
	}
}

func TestOriginsAreNotCheckedForOtherRequests(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_origin same;", nil)
		if got := answer(t, s, "GET / HTTP/1.1\r\nHost: example.com\r\nOrigin: http://evil.test\r\n"); got != "200" {
			t.Errorf(`got %q, want "200"`, got)
		}
	})
}
