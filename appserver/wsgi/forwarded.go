package wsgi

import (
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// addOwn adds the fields from what the front knows.
func addOwn(e *wire.Environ, x *proxy.Exchange) {
	e.Fix("HTTP_X_FORWARDED_PROTO", x.Req.Scheme)
	e.Fix("HTTP_X_FORWARDED_PORT", serverPort(x, x.Req.Scheme))
	e.Add("HTTP_X_FORWARDED_FOR", x.RemoteAddr())
	e.Add("HTTP_X_REAL_IP", x.RemoteAddr())
	if x.Req.Authority != "" {
		e.Add("HTTP_X_FORWARDED_HOST", x.Req.Authority)
	}
}

// addChain adds X-Forwarded-For with $remote_addr at its end, as nginx's
// $proxy_add_x_forwarded_for does.
func addChain(e *wire.Environ, x *proxy.Exchange) {
	h := &x.Req.Header
	var chain strings.Builder
	for i := range h.Len() {
		if f := h.At(i); isForwardedFor(f) {
			chain.WriteString(f.Value)
			chain.WriteString(", ")
		}
	}
	if chain.Len() == 0 {
		e.Add("HTTP_X_FORWARDED_FOR", x.RemoteAddr())
		return
	}
	chain.WriteString(x.RemoteAddr())
	e.Add("HTTP_X_FORWARDED_FOR", chain.String())
}

func isForwardedFor(f proxy.Field) bool {
	return f.ID() == proxy.FieldXForwardedFor || f.ID() == proxy.FieldOther && IsKey(f.Name, "x-forwarded-for")
}

// isForwarding reports whether the field's environ key is that of a field in which
// proxies tell the way of a request.
func isForwarding(f proxy.Field) bool {
	if f.ID() == proxy.FieldXForwardedFor {
		return true
	}
	n := len(f.Name)
	switch {
	case f.ID() != proxy.FieldOther || n < len("forwarded"):
		return false
	case n == len("forwarded"):
		return IsKey(f.Name, "forwarded") || IsKey(f.Name, "x-real-ip")
	case n < len("x-forwarded-"):
		return false
	}
	return IsKey(f.Name[:len("x-forwarded-")], "x-forwarded-")
}

// IsKey reports whether name has the same environ key as key, which is in lower
// case and has no underscores.
func IsKey(name, key string) bool {
	if len(name) != len(key) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_':
			c = '-'
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != key[i] {
			return false
		}
	}
	return true
}
