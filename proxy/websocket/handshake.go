package websocket

import (
	"fmt"
	"strings"

	"alicorn/proxy"
	"alicorn/proxy/websocket/frames"
)

// Asks reports whether x's request asks for a WebSocket: a GET of HTTP/1.1 with websocket in
// Upgrade and upgrade in Connection.
func Asks(x *proxy.Exchange) bool {
	r := &x.Req
	if _, ok := r.Header.Lookup(proxy.FieldUpgrade); !ok || r.Method != "GET" || r.Major != 1 || r.Minor < 1 {
		return false
	}
	return hasToken(&r.Header, proxy.FieldUpgrade, "websocket") && hasToken(&r.Header, proxy.FieldConnection, "upgrade")
}

// hasToken reports whether token is an element of the field, in one of its lines.
func hasToken(h *proxy.Header, id proxy.FieldID, token string) bool {
	for f := range h.All() {
		if f.ID() != id {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.Trim(item, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// Handshake is a valid request for a WebSocket.
type Handshake struct {
	rules        *rules
	accept       string // Sec-WebSocket-Accept
	subprotocols []string
	deflate      frames.Deflate
}

// version is the only version of the protocol (RFC 6455 section 4.1).
const version = "13"

// Handshake checks the rest of a request that Asks for a WebSocket (RFC 6455 section
// 4.2.1), and its Origin. The handler returns the error: status 400, 403 or 426.
func (f *Feature) Handshake(x *proxy.Exchange) (*Handshake, error) {
	r := f.rules.Of(x.Location)
	h := &Handshake{rules: r}
	var keys, versions int
	var key, asked string
	var extensions []string
	for field := range x.Req.Header.All() {
		switch {
		case !hasPrefixFold(field.Name, "Sec-WebSocket-"):
		case strings.EqualFold(field.Name, "Sec-WebSocket-Key"):
			keys, key = keys+1, field.Value
		case strings.EqualFold(field.Name, "Sec-WebSocket-Version"):
			versions, asked = versions+1, field.Value
		case strings.EqualFold(field.Name, "Sec-WebSocket-Protocol"):
			for item := range strings.SplitSeq(field.Value, ",") {
				if item = strings.Trim(item, " \t"); item != "" {
					h.subprotocols = append(h.subprotocols, strings.Clone(item))
				}
			}
		case strings.EqualFold(field.Name, "Sec-WebSocket-Extensions"):
			extensions = append(extensions, field.Value)
		}
	}
	switch {
	case versions != 1 || asked != version:
		return nil, &proxy.Fail{Status: 426, Level: proxy.LevelInfo, Reason: fmt.Sprintf("client sent %d Sec-WebSocket-Version, the last of them %q: must be one, %s", versions, asked, version),
			Field: proxy.Field{Name: "Sec-WebSocket-Version", Value: version}, More: []proxy.Field{{Name: "Upgrade", Value: "websocket"}}}
	case keys != 1 || !frames.ValidKey(key):
		return nil, malformed("client sent %d Sec-WebSocket-Key, the last of them %q: must be one, of 16 bytes in base64", keys, key)
	case x.Req.ContentLength > 0 || x.Req.Chunked:
		return nil, malformed("client sent a body with its WebSocket handshake")
	}
	deflate, err := frames.Negotiate(extensions)
	if err != nil {
		return nil, malformed("client sent invalid Sec-WebSocket-Extensions %q: %v", extensions, err)
	}
	if r.compress {
		h.deflate = deflate
	}
	ok, err := r.admits(x)
	if err == nil && !ok {
		err = &proxy.Fail{Status: 403, Level: proxy.LevelWarn, Reason: fmt.Sprintf("websocket_origin does not allow origin %q", x.Req.Header.Get("Origin"))}
	}
	h.accept = frames.AcceptKey(key)
	return h, err
}

// malformed returns the answer to a malformed handshake.
func malformed(format string, args ...any) error {
	return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf(format, args...)}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Subprotocols returns the subprotocols that the client offers, in its order. RFC 6455 wants
// tokens, but some clients send other text, such as credentials. It is not checked: the
// application decides.
func (h *Handshake) Subprotocols() []string { return h.subprotocols }
