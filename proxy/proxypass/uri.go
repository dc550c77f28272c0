package proxypass

import (
	"strings"

	"alicorn/proxy"
)

// uriOf makes the URIs of a location's requests.
type uriOf struct {
	uri      string // of proxy_pass; "": none
	location string // the location's name, which uri replaces
}

// append appends the URI of x's request, by the rules of nginx. A URI in a proxy_pass with
// variables is used as it is. Without a URI in proxy_pass it is the one that the client has
// sent, or the path if that has changed. With a URI in proxy_pass it is the path, whose
// beginning, the location's name, is replaced. A rewrite in the location may have changed the
// path, so that it does not begin with the name: then the path is used without that.
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

// appendGiven appends the URI of a proxy_pass with variables.
func appendGiven(dst []byte, uri string) []byte {
	if uri[0] == '?' {
		dst = append(dst, '/')
	}
	return appendEscaped(dst, uri)
}

// appendEscaped appends a text, and escapes bytes that are not allowed in a request line, which
// variables or rewriting may have added.
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
