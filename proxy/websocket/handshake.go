package websocket

import (
	"fmt"
	"strings"

	"alicorn/proxy"
	"alicorn/proxy/websocket/frames"
)

// Asks reports whether x's request asks for a WebSocket: a GET whose Upgrade has the token
// websocket and whose Connection has upgrade. Other requests are HTTP.
func Asks(x *proxy.Exchange) bool {
	r := &x.Req
	if _, ok := r.Header.Lookup(proxy.FieldUpgrade); !ok || r.Method != "GET" || r.Major != 1 || r.Minor < 1 {
		return false
	}
	return hasToken(&r.Header, proxy.FieldUpgrade, "websocket") && hasToken(&r.Header, proxy.FieldConnection, "upgrade")
}

// hasToken reports whether token is an element of the field, in any of its lines.
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

// Handshake is a request for a WebSocket that may be accepted.
type Handshake struct {
	rules        *rules
	accept       string // Sec-WebSocket-Accept
	subprotocols []string
	deflate      frames.Deflate
}

// version is the only version of the protocol that there is.
const version = "13"

// Handshake checks the rest of a request that Asks for a WebSocket (RFC 6455 section
// 4.2.1), and its Origin. The handler returns its error.
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
		return nil, &proxy.Fail{Status: 426, Level: proxy.LevelInfo, Reason: fmt.Sprintf("client asks for version %q of WebSocket; it is %s", asked, version),
			Field: proxy.Field{Name: "Sec-WebSocket-Version", Value: version}, More: []proxy.Field{{Name: "Upgrade", Value: "websocket"}}}
	case keys != 1 || !frames.ValidKey(key):
		return nil, malformed("client sent %d Sec-WebSocket-Key, the last of them %q; it is one, of 16 bytes in base64", keys, key)
	case x.Req.ContentLength > 0 || x.Req.Chunked:
		return nil, malformed("client sent a body with its WebSocket handshake")
	}
	deflate, err := frames.Negotiate(extensions)
	if err != nil {
		return nil, malformed("client sent invalid Sec-WebSocket-Extensions %q; %v", extensions, err)
	}
	if r.compress {
		h.deflate = deflate
	}
	ok, err := r.admits(x)
	if err == nil && !ok {
		err = &proxy.Fail{Status: 403, Level: proxy.LevelWarn, Reason: fmt.Sprintf("origin %q may not open a WebSocket by websocket_origin", x.Req.Header.Get("Origin"))}
	}
	h.accept = frames.AcceptKey(key)
	return h, err
}

func malformed(format string, args ...any) error {
	return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf(format, args...)}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Subprotocols returns those that the client offers, in its order. They are to be tokens, but
// some clients put something else there, as the text of a credential: that is for the
// application to judge.
func (h *Handshake) Subprotocols() []string { return h.subprotocols }
