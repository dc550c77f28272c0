package proxypass

import (
	"net/netip"
	"slices"
	"strings"

	"alicorn/proxy"
)

// forwarding are the fields of proxy_headers, in which servers are told the way of a request,
// as far as proxy_set_header does not set them.
type forwarding struct {
	fields []forwardingField
}

// forwardingField is one of them.
type forwardingField struct {
	name   string
	append func(dst []byte, x *proxy.Exchange) []byte
	// adds says that a trusted peer's value stays, and ours is added to its list; else the
	// value of such a peer takes the place of ours.
	adds bool
}

// allForwarding are the fields that proxy_headers sets.
var allForwarding = []forwardingField{
	{"X-Forwarded-For", func(dst []byte, x *proxy.Exchange) []byte { return append(dst, x.RemoteAddr()...) }, true},
	{"X-Forwarded-Proto", func(dst []byte, x *proxy.Exchange) []byte { return append(dst, x.Req.Scheme...) }, false},
	{"X-Forwarded-Host", appendAuthority, false},
	{"X-Forwarded-Port", func(dst []byte, x *proxy.Exchange) []byte { return append(dst, listeningPort(x)...) }, false},
	{"X-Real-IP", func(dst []byte, x *proxy.Exchange) []byte { return append(dst, x.RemoteAddr()...) }, false},
	{"Forwarded", appendForwarded, true},
}

// newForwarding returns those that set does not have.
func newForwarding(set []setHeader) *forwarding {
	f := &forwarding{}
	for _, field := range allForwarding {
		if !slices.ContainsFunc(set, func(o setHeader) bool { return strings.EqualFold(o.name, field.name) }) {
			f.fields = append(f.fields, field)
		}
	}
	return f
}

// appendTo appends the fields. trusted says that the client is a proxy that may say more.
func (f *forwarding) appendTo(dst []byte, x *proxy.Exchange, trusted bool) []byte {
	for i := range f.fields {
		field := &f.fields[i]
		start := len(dst)
		dst = append(append(dst, field.name...), ": "...)
		said := false
		if trusted {
			dst, said = appendSaid(dst, &x.Req.Header, field.name)
		}
		switch {
		case !said:
			dst = field.append(dst, x)
		case field.adds:
			dst = field.append(append(dst, ", "...), x)
		}
		if len(dst) == start+len(field.name)+len(": ") {
			dst = dst[:start]
			continue
		}
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendSaid appends the lines of a field, as one list.
func appendSaid(dst []byte, h *proxy.Header, name string) (_ []byte, said bool) {
	for i := range h.Len() {
		f := h.At(i)
		if !strings.EqualFold(f.Name, name) || f.Value == "" {
			continue
		}
		if said {
			dst = append(dst, ", "...)
		}
		dst, said = append(dst, f.Value...), true
	}
	return dst, said
}

// hides reports whether a field of the client is not passed on: one that is set here, in any
// spelling, and from a client that is not trusted every one in which proxies tell the way of
// a request.
func (f *forwarding) hides(name string, trusted bool) bool {
	if len(name) < len("forwarded") {
		return false
	}
	for i := range f.fields {
		if sameKey(name, f.fields[i].name) {
			return true
		}
	}
	if trusted {
		return false
	}
	const prefix = "X-Forwarded-"
	return len(name) > len(prefix) && sameKey(name[:len(prefix)], prefix) || sameKey(name, "Forwarded") || sameKey(name, "X-Real-IP")
}

// sameKey reports whether two names of fields are one for an application of CGI.
func sameKey(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if keyByte(a[i]) != keyByte(b[i]) {
			return false
		}
	}
	return true
}

// appendAuthority appends the host that the client asks for, as it has written it.
func appendAuthority(dst []byte, x *proxy.Exchange) []byte {
	if x.Req.Authority != "" {
		return append(dst, x.Req.Authority...)
	}
	return append(dst, x.Req.Host...)
}

// listeningPort is the port that the client has connected to.
func listeningPort(x *proxy.Exchange) string {
	switch {
	case x.Conn.LocalPort != "":
		return x.Conn.LocalPort
	case x.Req.Scheme == "https":
		return securePort
	}
	return defaultPort
}

// appendForwarded appends what this server says of the request's way: RFC 7239 section 4.
func appendForwarded(dst []byte, x *proxy.Exchange) []byte {
	dst = append(dst, "for="...)
	addr, err := netip.ParseAddr(x.RemoteAddr())
	switch {
	case err != nil:
		dst = append(dst, "unknown"...)
	case addr.Is4():
		dst = append(dst, x.RemoteAddr()...)
	default:
		dst = append(append(append(dst, `"[`...), x.RemoteAddr()...), `]"`...)
	}
	dst = append(append(dst, ";proto="...), x.Req.Scheme...)
	if x.Req.Authority != "" {
		dst = append(append(append(dst, `;host="`...), x.Req.Authority...), '"') // it has no quotes
	}
	return dst
}
