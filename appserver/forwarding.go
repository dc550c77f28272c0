package appserver

import (
	"strings"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// forwarding is what an application is told of the way by which a request came:
// X-Forwarded-*, Forwarded and X-Real-IP. A peer that is trusted, a proxy, may
// say it; for any other peer these fields are what the front itself knows, as
// an nginx in front of the application would set them: addresses are
// $remote_addr, that of the client also where set_real_ip_from has found it.
type forwarding struct {
	listed  bool // allowed and all replace the usual trust
	all     bool
	allowed proxy.Prefixes
	keep    bool          // X-Forwarded-For stays as a trusted peer sent it
	schemes []schemeField // replace the usual ones that say the scheme; nil: do not
}

// schemeField is a header field with which proxies say that the client used
// https: by that value.
type schemeField struct {
	name  string // in lower case, with hyphens
	value string
}

// trusts reports whether the connection's peer is a proxy. Unix sockets are:
// who may connect there is a matter of permissions. The peer is meant also
// where set_real_ip_from has found the client behind it.
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

// isForwarding reports whether the field's environ key is one that proxies say
// the way with.
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

// addOwn adds what the front knows of the way.
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
// $proxy_add_x_forwarded_for has it.
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

// schemeOf returns the scheme that the client used, of which a trusted peer has
// the word, with the fields that gunicorn's secure_scheme_headers has by
// default. Fields that contradict each other say nothing.
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

// schemeSaid is schemeOf by secure_scheme_headers.
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
