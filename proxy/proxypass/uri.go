package proxypass

import (
	"strings"

	"alicorn/proxy"
)

// uriOf is how a location's requests are named to its peers.
type uriOf struct {
	uri      string // of proxy_pass; "": none
	location string // whose name uri replaces
}

// append appends the URI of x's request, by the rules of nginx. Without a URI in
// proxy_pass it is what the client has sent, or, once the request is for another path,
// that path. With one it is the path with the location's name replaced, unless a rewrite
// in the location itself has moved the path, so that the name is not there. The URI that
// variables have made is the whole of it.
func (u *uriOf) append(dst []byte, x *proxy.Exchange, to place) []byte {
	if to.uri != "" {
		return appendGiven(dst, to.uri)
	}
	r := &x.Req
	if u.uri == "" && x.URIChanges() == 0 {
		return append(dst, r.Target...)
	}
	path := r.Path
	if u.uri != "" && !to.moved {
		dst = append(dst, u.uri...)
		path = path[min(len(u.location), len(path)):]
	}
	if sent, _, _ := strings.Cut(r.Target, "?"); x.URIChanges() > 0 || strings.IndexByte(sent, '%') >= 0 {
		dst = proxy.EscapePath(dst, path)
	} else {
		dst = append(dst, path...)
	}
	if r.Args != "" {
		dst = appendEscaped(append(dst, '?'), r.Args)
	}
	return dst
}

// appendGiven appends a URI that variables have made.
func appendGiven(dst []byte, uri string) []byte {
	if uri[0] == '?' {
		dst = append(dst, '/')
	}
	return appendEscaped(dst, uri)
}

// appendEscaped appends a text into which variables or rewriting may have put bytes that
// cannot stand in a request line.
func appendEscaped(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f {
			dst = proxy.AppendEscape(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
