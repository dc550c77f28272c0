package appserver

import (
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// forwarding decides about the fields that tell an application the way of a request:
// X-Forwarded-*, Forwarded and X-Real-IP. A trusted peer, a proxy, may send them. For
// other peers the front sets them from what it knows, as an nginx in front of the
// application would. Addresses are $remote_addr, which set_real_ip_from may have set to
// the client's.
type forwarding struct {
	listed  bool // allowed and all replace the usual trust
	all     bool
	allowed proxy.Prefixes
	keep    bool          // X-Forwarded-For stays as a trusted peer sent it
	schemes []schemeField // in place of the usual fields with the scheme; nil: those
}

// schemeField is a header field, and its value by which proxies say that the client used
// https.
type schemeField struct {
	name  string // in lower case, with hyphens
	value string
}

// trusts reports whether the connection's peer is a trusted proxy. Peers on unix sockets
// are, since permissions decide who can connect there. The peer counts even where
// set_real_ip_from has found the client behind it.
func (f *forwarding) trusts(c *proxy.Conn) bool {
	addr, ok := c.RemoteIP()
	switch {
	case f.all:
		return true
	case !ok:
		return strings.HasPrefix(c.RemoteAddr, "unix:")
	case !f.listed:
		return addr.IsLoopback() || addr.IsPrivate()
	}
	return f.allowed.Contain(addr)
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
		return isKey(f.Name, "forwarded") || isKey(f.Name, "x-real-ip")
	case n < len("x-forwarded-"):
		return false
	}
	return isKey(f.Name[:len("x-forwarded-")], "x-forwarded-")
}

// isKey reports whether name has the same environ key as key, which is in lower
// case and has no underscores.
func isKey(name, key string) bool {
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
	return f.ID() == proxy.FieldXForwardedFor || f.ID() == proxy.FieldOther && isKey(f.Name, "x-forwarded-for")
}

// schemeOf returns the scheme that the client used. A trusted peer says it in the fields
// of gunicorn's default secure_scheme_headers. Fields that contradict each other are
// ignored.
func schemeOf(r *proxy.Request, trusted bool, way *forwarding) string {
	switch {
	case !trusted:
		return r.Scheme
	case way.schemes != nil:
		return way.schemeSaid(r)
	}
	said := ""
	for i := range r.Header.Len() {
		f := r.Header.At(i)
		if f.ID() != proxy.FieldOther || len(f.Name) < len("x-forwarded-ssl") || !isForwarding(f) {
			continue
		}
		scheme := ""
		switch {
		case isKey(f.Name, "x-forwarded-proto"):
			scheme = strings.ToLower(f.Value)
		case isKey(f.Name, "x-forwarded-protocol") && strings.EqualFold(f.Value, "ssl"), isKey(f.Name, "x-forwarded-ssl") && strings.EqualFold(f.Value, "on"):
			scheme = "https"
		default:
			continue
		}
		if scheme != "http" && scheme != "https" || said != "" && said != scheme {
			return r.Scheme
		}
		said = scheme
	}
	if said == "" {
		return r.Scheme
	}
	return said
}

// schemeSaid is schemeOf with the fields of secure_scheme_headers.
func (f *forwarding) schemeSaid(r *proxy.Request) string {
	said := ""
	for i := range r.Header.Len() {
		for _, field := range f.schemes {
			if !isKey(r.Header.At(i).Name, field.name) {
				continue
			}
			scheme := "http"
			if r.Header.At(i).Value == field.value {
				scheme = "https"
			}
			if said != "" && said != scheme {
				return r.Scheme
			}
			said = scheme
		}
	}
	if said == "" {
		return r.Scheme
	}
	return said
}
