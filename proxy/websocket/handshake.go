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

// offer has the fields of a client's handshake.
type offer struct {
	keys, versions int    // how many lines of Sec-WebSocket-Key and Sec-WebSocket-Version there are
	key, version   string // the last of them
	subprotocols   []string
	extensions     []string // the lines of Sec-WebSocket-Extensions
}

// offerIn returns the offer in the fields of a request.
func offerIn(h *proxy.Header) (o offer) {
	for field := range h.All() {
		switch {
		case !hasPrefixFold(field.Name, "Sec-WebSocket-"):
		case strings.EqualFold(field.Name, "Sec-WebSocket-Key"):
			o.keys, o.key = o.keys+1, field.Value
		case strings.EqualFold(field.Name, "Sec-WebSocket-Version"):
			o.versions, o.version = o.versions+1, field.Value
		case strings.EqualFold(field.Name, "Sec-WebSocket-Protocol"):
			for item := range strings.SplitSeq(field.Value, ",") {
				if item = strings.Trim(item, " \t"); item != "" {
					o.subprotocols = append(o.subprotocols, strings.Clone(item))
				}
			}
		case strings.EqualFold(field.Name, "Sec-WebSocket-Extensions"):
			o.extensions = append(o.extensions, field.Value)
		}
	}
	return o
}

// Handshake checks the rest of a request that Asks for a WebSocket (RFC 6455 section
// 4.2.1), and its Origin. The handler returns the error: status 400, 403 or 426.
func (f *Feature) Handshake(x *proxy.Exchange) (*Handshake, error) {
	r, o := f.rules.Of(x.Location), offerIn(&x.Req.Header)
	switch {
	case o.versions != 1 || o.version != version:
		return nil, &proxy.Fail{Status: 426, Level: proxy.LevelInfo, Reason: fmt.Sprintf("client sent %d Sec-WebSocket-Version, the last of them %q: must be one, %s", o.versions, o.version, version),
			Field: proxy.Field{Name: "Sec-WebSocket-Version", Value: version}, More: []proxy.Field{{Name: "Upgrade", Value: "websocket"}}}
	case o.keys != 1 || !frames.ValidKey(o.key):
		return nil, malformed("client sent %d Sec-WebSocket-Key, the last of them %q: must be one, of 16 bytes in base64", o.keys, o.key)
	case x.Req.ContentLength > 0 || x.Req.Chunked:
		return nil, malformed("client sent a body with its WebSocket handshake")
	}
	deflate, err := frames.Negotiate(o.extensions)
	if err != nil {
		return nil, malformed("client sent invalid Sec-WebSocket-Extensions %q: %v", o.extensions, err)
	}
	switch ok, err := r.admits(x); {
	case err != nil:
		return nil, err
	case !ok:
		return nil, &proxy.Fail{Status: 403, Level: proxy.LevelWarn, Reason: fmt.Sprintf("websocket_origin does not allow origin %q", x.Req.Header.Get("Origin"))}
	}
	h := &Handshake{rules: r, accept: frames.AcceptKey(o.key), subprotocols: o.subprotocols}
	if r.compress {
		h.deflate = deflate
	}
	return h, nil
}

// malformed returns the answer to a malformed handshake.
func malformed(format string, args ...any) error {
	return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf(format, args...)}
}

// hasPrefixFold reports whether s begins with prefix, in any case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Subprotocols returns the subprotocols that the client offers, in its order. RFC 6455 wants
// tokens, but some clients send other text, such as credentials. It is not checked: the
// application decides.
func (h *Handshake) Subprotocols() []string { return h.subprotocols }
