package appserver

import (
	"strings"

	"alicorn/appserver/gateway"
	"alicorn/proxy"
)

// forwarding decides about the fields with the client's address and scheme: X-Forwarded-*,
// Forwarded and X-Real-IP. The application gets those that a trusted peer, a proxy, has sent.
// For other peers the front sets them itself, as an nginx in front of the application would.
// Addresses are $remote_addr, which set_real_ip_from may have set to the client's.
type forwarding struct {
	listed  bool // forwarded_allow_ips: all and allowed replace the default
	all     bool // every peer is trusted
	allowed proxy.Prefixes
	keep    bool          // X-Forwarded-For stays as a trusted peer has sent it
	schemes []schemeField // secure_scheme_headers; nil: the default
}

// schemeField is a header field, and the value with which proxies say that the client used
// https.
type schemeField struct {
	name  string // in lower case, with hyphens
	value string
}

// way returns the scheme of x, and whether the peer's fields are trusted.
func (f *forwarding) way(x *proxy.Exchange) gateway.Way {
	trusted := f.trusts(x.Conn)
	return gateway.Way{Scheme: f.schemeOf(&x.Req, trusted), Trusted: trusted, Keep: f.keep}
}

// trusts reports whether the connection's peer is a trusted proxy. Peers on unix sockets
// are, since file permissions decide who can connect there. The peer is that of the
// connection even if set_real_ip_from has found the client behind it.
func (f *forwarding) trusts(c *proxy.Conn) bool {
	addr, ok := c.RemoteIP()
	switch {
	case f.all:
		return true
	case !ok, !f.listed:
		return c.Nearby()
	}
	return f.allowed.Contain(addr)
}

// schemeOf returns the scheme that the client used. A trusted peer sends it in the fields of
// gunicorn's default secure_scheme_headers. If fields contradict each other, schemeOf ignores
// them.
func (f *forwarding) schemeOf(r *proxy.Request, trusted bool) string {
	switch {
	case !trusted:
		return r.Scheme
	case f.schemes != nil:
		return f.schemeSaid(r)
	}
	said := ""
	for i := range r.Header.Len() {
		f := r.Header.At(i)
		if f.ID() != proxy.FieldOther {
			continue
		}
		scheme := ""
		switch {
		case gateway.IsKey(f.Name, "x-forwarded-proto"):
			scheme = strings.ToLower(f.Value)
			switch scheme { // some proxies send these for a WebSocket
			case "ws":
				scheme = "http"
			case "wss":
				scheme = "https"
			}
		case gateway.IsKey(f.Name, "x-forwarded-protocol") && strings.EqualFold(f.Value, "ssl"), gateway.IsKey(f.Name, "x-forwarded-ssl") && strings.EqualFold(f.Value, "on"):
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
			if !gateway.IsKey(r.Header.At(i).Name, field.name) {
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
