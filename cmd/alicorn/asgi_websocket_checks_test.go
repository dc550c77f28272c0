package main

import (
	"fmt"
	"strings"
)

// handshakeFields returns the lines of a WebSocket's handshake with the key of RFC 6455,
// section 1.3.
func handshakeFields() []string {
	return []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
}

// handshakeAccept is the right answer to the key.
const handshakeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// websocketChecks are the checks of testdata/asgi/checks/checks_websocket.py.
func websocketChecks() []asgiCheck {
	refused := func(status int, body string) func(*asgiClient, asgiCheck) {
		return func(c *asgiClient, k asgiCheck) {
			k.fields, k.status, k.want = append(k.fields, handshakeFields()...), status, body
			k.exchange(c)
		}
	}
	var numbers, sent []string
	for n := range 20 {
		numbers, sent = append(numbers, fmt.Sprintf("text %d", n)), append(sent, clientFrame(0x81, fmt.Sprint(n)))
	}
	hundred := strings.Repeat("x", 100_000)
	return []asgiCheck{
		{name: "ws_scope", target: "/a%20b?q=1", talk: frames("close 1000"), uvicorn: "raw_path is '"},
		{name: "ws_versions", talk: frames("close 1000"), uvicorn: "spec_version"},
		{name: "ws_headers", fields: []string{"X-A: 1"}, talk: frames("close 1000")},
		{name: "ws_state", talk: frames("close 1000"), uvicorn: "number of the state"},
		{name: "ws_subprotocols", fields: []string{"Sec-WebSocket-Protocol: a, b.c,d"}, head: []string{"sec-websocket-protocol: b.c"}, talk: frames("close 1000")},
		{name: "ws_accept_headers", head: []string{"x-own: 1", "set-cookie: a=1"}, lacks: []string{"sec-websocket-protocol"}, talk: frames("close 1000")},
		{name: "ws_refuse", talk: refused(403, "*")},
		{name: "ws_refuse_with_response", head: []string{"x-own: 1"}, talk: refused(401, "deny!"), uvicorn: "there is no extension"},
		{name: "ws_text", talk: framesAfter(clientFrame(0x81, "hello")+clientFrame(0x81, "")+clientFrame(0x81, "\u00e9\U0001f600"),
			"text hello", "text", "text \u00e9\U0001f600", "close 1000")},
		{name: "ws_bytes", talk: framesAfter(clientFrame(0x82, "\x00\xff")+clientFrame(0x82, ""), "binary \x00\xff", "binary", "text t", "close 1000")},
		{name: "ws_fragments", talk: framesAfter(clientFrame(0x01, "one")+clientFrame(0x00, " t")+clientFrame(0x89, "p")+clientFrame(0x80, "wo"), "pong p", "close 1000")},
		{name: "ws_large", talk: framesAfter(clientFrame(0x82, hundred), "binary "+hundred, "close 1000")},
		{name: "ws_both_ways", talk: func(c *asgiClient, k asgiCheck) {
			k.shake(c)
			c.same(c.frame(), "text first", "frame")
			c.send(clientFrame(0x81, "second"))
			c.same(c.frame(), "close 1000", "frame")
		}},
		{name: "ws_messages_are_in_order", talk: framesAfter(strings.Join(sent, ""), append(numbers, "close 1000")...)},
		{name: "ws_client_closes", talk: closing(closePayload(1000, ""))},
		{name: "ws_client_closes_with_reason", talk: closing(closePayload(3001, "bye")), uvicorn: "reason is None"},
		{name: "ws_client_closes_without_code", talk: closing("")},
		{name: "ws_client_vanishes", talk: func(c *asgiClient, k asgiCheck) {
			k.shake(c)
			c.conn.Close()
		}},
		{name: "ws_send_after_the_client_closed", talk: closing(closePayload(1000, "")), uvicorn: "no OSError"},
		{name: "ws_server_closes", talk: frames("close 1000", "end")},
		{name: "ws_server_closes_with_reason", talk: frames("close 4000 b\u00fcro", "end")},
		{name: "ws_send_after_close", talk: frames("close 1000", "end")},
		{name: "ws_close_twice", talk: frames("close 1000", "end")},
		{name: "ws_send_before_accept", talk: frames("close 1000")},
		{name: "ws_accept_twice", talk: frames("close 1000")},
		{name: "ws_send_nothing", talk: frames("close 1000")},
		{name: "ws_text_is_bytes", talk: frames("binary bytes", "close 1000")},
		{name: "ws_http_message", talk: frames("close 1000")},
		{name: "ws_subprotocol_is_malformed", talk: frames("close 1000"), uvicorn: "send takes"},
		{name: "ws_raises_before_accept", talk: refused(500, "*")},
		{name: "ws_raises_after_accept", talk: frames("close 1011"), uvicorn: "frame is \"end\""},
		{name: "ws_returns_before_accept", talk: refused(500, "*")},
		{name: "ws_returns_after_accept", talk: frames("*", "end")},
		{name: "ws_breach", talk: framesAfter("\x81\x05naked", "close 1002", "end")},
		{name: "ws_waits_for_the_client", talk: func(c *asgiClient, k asgiCheck) {
			k.shake(c)
			k.begun(c)
			for {
				switch message := c.frame(); {
				case message == "text end":
					return
				case len(message) != len("binary ")+1<<16:
					c.fault("unexpected message of %d bytes: %.60q", len(message), message)
					return
				}
			}
		}},
	}
}

// shake sends the handshake and checks the answer.
func (k asgiCheck) shake(c *asgiClient) {
	k.fields = append(k.fields, handshakeFields()...)
	c.send(k.request())
	k.status, k.want, k.head = 101, "none", append(k.head, "sec-websocket-accept: "+handshakeAccept, "upgrade: websocket")
	k.answer(c)
}

// frames shakes hands and expects frames; "*" is any.
func frames(want ...string) func(*asgiClient, asgiCheck) { return framesAfter("", want...) }

// framesAfter shakes hands, sends text, and expects frames. A breach is named as the server
// likes.
func framesAfter(text string, want ...string) func(*asgiClient, asgiCheck) {
	return func(c *asgiClient, k asgiCheck) {
		k.shake(c)
		c.send(text)
		for _, frame := range want {
			if got := c.frame(); got != frame && frame != "*" && !(frame == "close 1002" && strings.HasPrefix(got, frame)) {
				c.fault("frame is %.60q, not %.60q", got, frame)
			}
		}
	}
}

// closing closes from the client's side, and expects a close frame.
func closing(payload string) func(*asgiClient, asgiCheck) {
	return func(c *asgiClient, k asgiCheck) {
		k.shake(c)
		c.sendClose(payload)
		if got := c.frame(); !strings.HasPrefix(got, "close") {
			c.fault("frame is %.60q, not a close", got)
		}
	}
}
