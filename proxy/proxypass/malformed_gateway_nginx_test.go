package proxypass

import (
	"fmt"
	"strings"
	"testing"
)

// malformedCGI are answers of applications behind uwsgi and SCGI, beside those of
// gatewayAnswers: where they end, and what they say of their length.
var malformedCGI = []malformedAnswer{
	{closes, "", ""},
	{resets, "", ""},
	{"S" + closes, "", ""},
	{"Status: 200 OK" + closes, "", ""},
	{"Status: 200 OK\r\n" + closes, "", ""},
	{"Status: 200 OK\r\n" + resets, "", ""},
	{"Status: 200 OK\r\nX-A: b\r\n" + closes, "", ""},
	{"Status: 200 OK\r\n\r\nok" + closes, "", ""},
	{"Status: 200 OK\r\n\r\nok" + resets, "", ""},
	{"Status: 200 OK\r\nContent-Length: 50\r\n\r\nok" + closes, "502", stricter},
	{"Status: 200 OK\r\nContent-Length: 50\r\n\r\nok" + resets, "502", stricter},
	{"Status: 200 OK\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("x", 20_000) + closes, "", ""},
	{"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok and more" + closes, "", ""},
	{"Status: 200 OK\r\nContent-Length: 0\r\n\r\nmore" + closes, "", ""},
	{"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok" + silence, "", ""},
	{"Status: 204 No\r\nContent-Length: 2\r\n\r\nok" + closes, "", ""},
	{"Status: 304 No\r\nContent-Length: 2\r\n\r\nok" + closes, "", ""},
	{"Status: 204 No\r\n\r\nok" + closes, "", ""},
	{"HTTP/1.1 200\r\n\r\nok" + closes, `200 OK [] 2 bytes "ok"`, usualReason},
	{"HTTP/1.1  200 OK\r\n\r\nok" + closes, "502", stricter},
	{"HTTP/1.1 abc OK\r\n\r\nok" + closes, "502", stricter},
	{"HTTP/1.1 99 OK\r\n\r\nok" + closes, "502", stricter},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok" + closes, `200 OK [] 2 bytes "ok"`, interim},
	{"HTTP/1.1 101 Switching\r\n\r\n" + closes, "502", stricter},
	{"HTTP/2.0 200 OK\r\n\r\nok" + closes, "502", stricter},
	{"Status: 100 Continue\r\n\r\nStatus: 200 OK\r\n\r\nok" + closes, "200", interim},
	{"Status: 200 OK\r\nStatus: 404 No\r\n\r\nok" + closes, "", ""},
	{"Status:\r\n\r\nok" + closes, "", ""},
	{"Status: 200 O\x01K\r\n\r\nok" + closes, "502", stricter},
	{"Status: 2000\r\n\r\nok" + closes, "502", stricter},
	{"Status: 099\r\n\r\nok" + closes, "502", stricter},
	{"X-A: b\nX-B: c\n\nok" + closes, "", ""},
	{"X-A: b\rX-B: c\r\n\r\nok" + closes, "", ""},
	{"X\x00A: b\r\n\r\nok" + closes, "", ""},
	{"X-A: b\x01c\r\n\r\nok" + closes, "502", stricter},
	{"X_A: b\r\n\r\nok" + closes, "", ""},
	{"X-A : b\r\n\r\nok" + closes, "", ""},
	{"Content-Length: 2, 2\r\n\r\nok" + closes, "502", stricter},
	{"Content-Length: +2\r\n\r\nok" + closes, "502", stricter},
	{"Content-Length:\r\n\r\nok" + closes, "502", stricter},
	{"Content-Length: 99999999999999999999\r\n\r\nok" + closes, "502", stricter},
	{"Transfer-Encoding: gzip\r\n\r\nok" + closes, "", ""},
	{"Location: /a\r\nLocation: /b\r\n\r\n" + closes, "", ""},
	{"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nok" + closes, "", ""},
	{strings.Repeat("X-A: b\r\n", 300) + "\r\nok" + closes, "", ""},
	{"X-A: " + strings.Repeat("b", 100_000) + "\r\n\r\nok" + closes, "", ""},
	{"\x00\x01\x02" + closes, "", ""},
	{"hello" + closes, "", ""},
	{drips + "Status: 201 Made\r\nX-A: b\r\n\r\nslow" + closes, "", ""},
	{silence, "", ""},
	{"Status: 2" + silence, "", ""},
	{"Status: 200 OK\r\nContent-Length: 50\r\n\r\nok" + silence, "504", collected},
	{"Status: 200 OK\r\n\r\nok" + silence, "", ""},
}

// fastcgiOK is the beginning of an answer.
var fastcgiOK = stdoutRecord("Status: 200 OK\r\nX-A: b\r\n\r\nok")

// endWith is the end of a request with an application's and the protocol's status.
func endWith(application, protocol byte) string {
	return fastcgiRecord(3, string([]byte{0, 0, 0, application, protocol, 0, 0, 0}))
}

// stdoutEnds is why bytes after the end of stdout are left out, as nginx does without
// fastcgi_keep_conn.
const stdoutEnds = "an empty record ends stdout: section 5.3 of FastCGI's specification"

// malformedRecords are FastCGI's.
var malformedRecords = []malformedAnswer{
	{closes, "", ""},
	{resets, "", ""},
	{endRecord, "", ""},
	{"\x01" + closes, "", ""},
	{"\x01\x06\x00\x01\x00\x10" + closes, "", ""},
	{"\x01\x06\x00\x01\x00\x10\x00\x00Status" + closes, "", ""},
	{fastcgiOK + closes, "", ""},
	{fastcgiOK + resets, "", ""},
	{fastcgiOK + stdoutRecord("") + closes, "", ""},
	{fastcgiOK + endRecord[:4] + closes, "", ""},
	{fastcgiOK + endRecord[:10] + closes, "", ""},
	{fastcgiOK + endRecord, "", ""},
	{fastcgiOK + stdoutRecord("") + endRecord, "", ""},
	{fastcgiOK + endRecord + "more", "", ""},
	{fastcgiOK + endRecord + fastcgiOK + endRecord, "", ""},
	{fastcgiOK + endRecord + endRecord, "", ""},
	{fastcgiOK + endWith(1, 0), "", ""},
	{fastcgiOK + endWith(0, 2), "", ""},
	{endWith(0, 1), "", ""},
	{endWith(0, 3), "", ""},
	{fastcgiOK + fastcgiRecord(3, ""), "", ""},
	{fastcgiOK + fastcgiRecord(3, "short"), "", ""},
	{fastcgiOK + fastcgiRecord(3, strings.Repeat("\x00", 300)), "", ""},
	{"\x02\x06\x00\x01\x00\x00\x00\x00" + closes, "", ""},
	{"\x00\x06\x00\x01\x00\x00\x00\x00" + closes, "", ""},
	{"\x01\x06\x00\x02\x00\x00\x00\x00" + fastcgiOK + endRecord, "", ""},
	{"\x01\x06\x00\x00\x00\x00\x00\x00" + fastcgiOK + endRecord, "", ""},
	{fastcgiRecord(4, "x") + closes, "", ""},
	{fastcgiRecord(10, "x") + closes, "", ""},
	{fastcgiRecord(11, "x") + closes, "", ""},
	{fastcgiRecord(0, "x") + closes, "", ""},
	{fastcgiRecord(255, "x") + closes, "", ""},
	{fastcgiOK + fastcgiRecord(11, "x") + endRecord + closes, "502", records},
	{fastcgiRecord(7, "oops") + closes, "", ""},
	{fastcgiRecord(7, "oops") + endRecord, "", ""},
	{fastcgiRecord(7, "oops") + fastcgiOK + endRecord, "", ""},
	{fastcgiRecord(7, "") + fastcgiOK + endRecord, "", ""},
	{fastcgiRecord(7, strings.Repeat("o", 60_000)) + fastcgiOK + endRecord, "", ""},
	{fastcgiOK + fastcgiRecord(7, "oops") + endRecord, "", ""},
	{fastcgiOK + fastcgiRecord(7, "o\x00p\x01s\r\n") + endRecord, "", ""},
	{stdoutRecord("Status: 200 OK\r\n") + endRecord, "", ""},
	{stdoutRecord("") + fastcgiOK + endRecord, "", ""},
	{fastcgiOK + stdoutRecord("") + stdoutRecord("more") + endRecord, `200 OK ["X-A: b"] 2 bytes "ok"`, stdoutEnds},
	{stdoutRecord("") + endRecord, "", ""},
	{stdoutRecord("Status: 200 OK\r\nContent-Length: 50\r\n\r\nok") + endRecord, "502", records},
	{stdoutRecord("Status: 200 OK\r\nContent-Length: 1\r\n\r\nok") + endRecord, `200 OK [] 1 bytes "o"`, records},
	{stdoutRecord("Status: 204 No\r\n\r\nok") + endRecord, `204 No [] 0 bytes ""`, records},
	{"\x01\x06\x00\x01\x00\x04\x04\x00\r\n\r\npad!\x01\x06\x00\x01\x00\x02\xff\x00ok" + strings.Repeat("p", 255) + endRecord, "", ""},
	{stdoutRecord(strings.Repeat("X-A: b\r\n", 2000)) + stdoutRecord("\r\nok") + endRecord, "", ""},
	{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + closes, "", ""},
	{"hello" + closes, "", ""},
	{drips + fastcgiRecord(7, "oops") + fastcgiOK + endRecord, "", ""},
	{silence, "", ""},
	{fastcgiOK[:5] + silence, "", ""},
	{stdoutRecord("Status: 200 OK\r\n") + silence, "", ""},
	{fastcgiOK + silence, "", ""},
	{fastcgiOK + stdoutRecord("") + silence, "", ""},
}

// startMalformedGateway starts an origin behind a gateway's protocol.
func startMalformedGateway(t *testing.T, g *gatewayProtocol, answers []malformedAnswer) *malformedOrigin {
	m := &malformedOrigin{}
	m.origin = startOrigin(t, "tcp", func(c *peerConn) {
		for q := g.read(c.r); q != nil; q = g.read(c.r) {
			if !m.answer(t, c, q.params["URI"], answers, g.answer("Status: 200 OK\r\n\r\nafter")) {
				return
			}
		}
	})
	return m
}

// TestMalformedAnswersOfGatewaysFareAsBehindNginx has both pass on what applications
// behind a gateway should not say.
func TestMalformedAnswersOfGatewaysFareAsBehindNginx(t *testing.T) {
	for _, g := range gatewayProtocols {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			answers, keep := malformedCGI, ""
			if g.keeps {
				answers, keep = malformedRecords, "fastcgi_keep_conn on; "
			}
			text := keep + "P_param URI $uri; P_param REQUEST_METHOD $request_method; location / { P_pass peers; } location /short/ { P_pass peers; P_read_timeout 600ms; }"
			d := duels(t, func() *malformedOrigin { return startMalformedGateway(t, g, answers) }, strings.ReplaceAll(text, "P_", g.name+"_"))
			for i, a := range answers {
				path := fmt.Sprintf("/x/%d", i)
				if strings.HasSuffix(a.text, silence) {
					path = fmt.Sprintf("/short/%d", i)
				}
				d.compare(t, i, a, "GET", path)
			}
		})
	}
}
