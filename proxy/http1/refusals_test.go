package http1_test

import (
	"strings"
	"testing"

	"alicorn/proxy"
)

// The error log has the reason at level info.
func TestRefusalsAreLoggedWithTheirReason(t *testing.T) {
	s := newServer(t, "lingering_timeout 100ms;")
	for _, c := range []struct{ name, request, reason string }{
		{"method", "G(T / HTTP/1.1\r\n" + host + "\r\n", "invalid method"},
		{"target", "GET * HTTP/1.1\r\n" + host + "\r\n", "an invalid request target"},
		{"version", "GET / HTTP/1.x\r\n" + host + "\r\n", "invalid version"},
		{"preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP/2 preface to an HTTP/1.1 server"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "an HTTP/1.1 request without a Host field"},
		{"two Hosts", get + host + "\r\n", "several Host fields"},
		{"bad Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "an invalid Host field"},
		{"fold", get + "X: a\r\n b\r\n\r\n", "obsolete line folding"},
		{"no colon", get + "X\r\n\r\n", "a header line without a colon"},
		{"length", post + "Content-Length: x\r\n\r\n", "an invalid or repeated Content-Length"},
		{"two codings", coded[:len(coded)-2] + "Transfer-Encoding: x\r\n\r\n", "several Transfer-Encoding fields"},
		{"coding", post + "Transfer-Encoding: x\r\n\r\n", "an unknown Transfer-Encoding"},
		{"length and coding", coded[:len(coded)-2] + "Content-Length: 3\r\n\r\n", "both Content-Length and Transfer-Encoding"},
		{"chunk size", coded + "x\r\n", "an invalid chunk size"},
		{"chunk end", coded + "1\r\nab", "invalid chunked framing"},
		{"trailer", coded + "0\r\nX\r\n", "an invalid trailer field"},
		{"cut head", get, "an incomplete request and closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Log.Reset()
			exchange(t, s, c.request)
			if log := s.Log.String(); !strings.HasPrefix(log, "info: client sent "+c.reason+", client: 127.0.0.1") || strings.Contains(log, "\n") {
				t.Errorf("got the log %q, want one line with %q", log, c.reason)
			}
		})
	}
}

// ignore_invalid_headers and underscores_in_headers decide which fields with unusual names a
// handler gets.
func TestUnusualNamesPassAsTheSettingsSay(t *testing.T) {
	const fields = "X_Y: 1\r\nX@Y: 2\r\nX.Y: 3\r\n_: 4\r\nX-Y: 5\r\n"
	for settings, want := range map[string]string{
		"":                            "Host X-Y",
		"underscores_in_headers on;":  "Host X_Y _ X-Y",
		"ignore_invalid_headers off;": "Host X_Y X@Y X.Y _ X-Y",
		"ignore_invalid_headers off; underscores_in_headers on;": "Host X_Y X@Y X.Y _ X-Y",
	} {
		s := serve(t, settings, func(x *proxy.Exchange) error {
			var names []string
			for f := range x.Req.Header.All() {
				names = append(names, f.Name)
			}
			return x.Res.Reply(200, "text/plain", []byte(strings.Join(names, " ")))
		})
		if got := summary(exchange(t, s, get+fields+"\r\n")); got != "200 "+want {
			t.Errorf("%s: got %q, want %q", settings, got, want)
		}
		logged := strings.Count(s.Log.String(), "client sent invalid header line")
		if dropped := 5 - strings.Count(want, " "); logged != dropped {
			t.Errorf("%s: got %d log lines, want %d: %s", settings, logged, dropped, s.Log)
		}
	}
}
