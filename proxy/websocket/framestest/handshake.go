package framestest

import "strings"

// Request is a handshake without the empty line at its end.
const Request = "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// Handshake is a request and its answer.
type Handshake struct {
	Name    string
	Request string // without the empty line at its end
	// Want is the status, and then the fields of the handshake. The application chooses the
	// first subprotocol, and answers other requests with 200.
	Want string
	// Websockets and Wsproto are the statuses of uvicorn's two implementations, if they
	// differ from Want; Why is the reason.
	Websockets, Wsproto, Why string
}

// Handshakes returns the cases of sections 4.2.1, 4.2.2 and 9.1 of RFC 6455 and 7.1 of RFC
// 7692.
func Handshakes() (all []Handshake) {
	for _, c := range handshakes {
		all = append(all, Handshake{c.name, strings.Replace(Request, c.replace, c.by, 1), c.want, c.websockets, c.wsproto, c.why})
	}
	return all
}

// handshakes are the cases, each with a part of Request that is replaced.
var handshakes = []struct {
	name, replace, by        string
	want                     string
	websockets, wsproto, why string
}{
	{"the plain request", "", "", "101", "", "", ""},
	{"the names of fields and tokens in another case", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade", "UPGRADE: WebSocket\r\nconnection: UPGRADE", "101", "", "", ""},
	{"upgrade among others", "Upgrade: websocket", "Upgrade: h2c, websocket", "101", "400", "400",
		"RFC 9110 section 7.8: Upgrade is a list; uvicorn 0.17 compares the whole field"},
	{"upgrade in two lines", "Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket", "101", "426", "",
		"RFC 9110 section 5.3: lines of a list are one list"},
	{"connection in two lines", "Connection: keep-alive, Upgrade", "Connection: keep-alive\r\nConnection: Upgrade", "101", "", "", ""},
	{"no Upgrade", "Upgrade: websocket\r\n", "", "200", "", "", ""},
	{"another Upgrade", "Upgrade: websocket", "Upgrade: h2c", "200", "400", "400",
		"RFC 9110 section 7.8: a server may ignore Upgrade; uvicorn 0.17 refuses"},
	{"Connection without upgrade", "keep-alive, Upgrade", "keep-alive", "200", "", "", ""},
	{"another method", "GET / HTTP/1.1", "POST / HTTP/1.1", "200", "400", "400",
		"RFC 9110 section 7.8: a server may ignore Upgrade; uvicorn takes any method for a handshake"},
	{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "200", "101", "101",
		"RFC 6455 section 4.2.1: HTTP/1.1 or higher; RFC 9110 section 7.8: Upgrade in HTTP/1.0 is ignored"},
	{"no version", "Sec-WebSocket-Version: 13\r\n", "", "426 Sec-WebSocket-Version: 13", "400", "400",
		"RFC 6455 section 4.4: the answer says which versions there are; it names only unsuitable ones"},
	{"version 8", "Version: 13", "Version: 8", "426 Sec-WebSocket-Version: 13", "400", "",
		"RFC 6455 section 4.2.2: 426 with Sec-WebSocket-Version"},
	{"version 14", "Version: 13", "Version: 14", "426 Sec-WebSocket-Version: 13", "400", "",
		"RFC 6455 section 4.2.2: 426 with Sec-WebSocket-Version"},
	{"two versions", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8", "426 Sec-WebSocket-Version: 13", "400", "",
		"RFC 6455 section 4.4: the answer says which versions there are"},
	{"version 013", "Version: 13", "Version: 013", "426 Sec-WebSocket-Version: 13", "400", "",
		"RFC 6455 section 4.2.2: 426 with Sec-WebSocket-Version"},
	{"no key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400", "", "", ""},
	{"two keys", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key", "400", "", "101",
		"RFC 6455 section 11.3.1: the key must not occur twice"},
	{"an empty key", "dGhlIHNhbXBsZSBub25jZQ==", "", "400", "", "101",
		"RFC 6455 section 4.2.1: the key has 16 bytes"},
	{"a key of 15 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAA", "400", "", "101",
		"RFC 6455 section 4.2.1: the key has 16 bytes"},
	{"a key of 17 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAAA=", "400", "", "101",
		"RFC 6455 section 4.2.1: the key has 16 bytes"},
	{"a key that is not base64", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", "400", "", "101",
		"RFC 6455 section 4.2.1: the key is in base64"},
	{"a body", "\r\nConnection", "\r\nContent-Length: 1\r\nConnection", "400", "101", "101",
		"its bytes would be taken for frames"},
	{"an empty body", "\r\nConnection", "\r\nContent-Length: 0\r\nConnection", "101", "", "", ""},
	{"a subprotocol", "\r\nConnection", "\r\nSec-WebSocket-Protocol: chat\r\nConnection", "101 Sec-WebSocket-Protocol: chat", "", "", ""},
	{"subprotocols", "\r\nConnection", "\r\nSec-WebSocket-Protocol: a.b , chat\r\nSec-WebSocket-Protocol: c\r\nConnection", "101 Sec-WebSocket-Protocol: a.b", "", "", ""},
	{"an invalid subprotocol", "\r\nConnection", "\r\nSec-WebSocket-Protocol: a, b c\r\nConnection", "101 Sec-WebSocket-Protocol: a", "", "", ""},
	{"permessage-deflate", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover", "", "", ""},
	{"Chromium's offer", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12", "", "", ""},
	{"a smaller window of the client", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9", "", "", ""},
	{"a larger window of the client", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12", "", "", ""},
	{"a window of the server", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits=12", "", "", ""},
	{"no context on either side", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover", "", "", ""},
	{"a quoted value", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\"\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10", "", "none",
		"RFC 6455 section 9.1: a value may be quoted; wsproto breaks off"},
	{"the second of two offers", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7, permessage-deflate; client_max_window_bits\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12", "", "", ""},
	{"offers in two lines", "\r\nConnection", "\r\nSec-WebSocket-Extensions: x-other; a=b\r\nSec-WebSocket-Extensions: PERMESSAGE-DEFLATE\r\nConnection",
		"101 Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover", "", "", ""},
	{"an unknown extension", "\r\nConnection", "\r\nSec-WebSocket-Extensions: x-webkit-deflate-frame\r\nConnection", "101", "", "", ""},
	{"an unknown parameter", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; level=9\r\nConnection", "101", "", "", ""},
	{"a parameter twice", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; client_max_window_bits=10\r\nConnection", "101", "", "", ""},
	{"a value that is none", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover=1\r\nConnection", "101", "", "", ""},
	{"a window without its value", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits\r\nConnection", "101", "", "", ""},
	{"a window of 16", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\nConnection", "101", "", "", ""},
	{"a window of 08", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=08\r\nConnection", "101", "", "", ""},
	{"malformed extensions", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; ; x\r\nConnection", "400", "", "101",
		"RFC 6455 section 9.1: malformed extensions fail the handshake"},
	{"an extension that is no token", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage deflate\r\nConnection", "400", "", "101",
		"RFC 6455 section 9.1: malformed extensions fail the handshake"},
	{"a quote without its end", "\r\nConnection", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\r\nConnection", "400", "", "none",
		"RFC 6455 section 9.1: malformed extensions fail the handshake; wsproto breaks off"},
}
