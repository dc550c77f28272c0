package proxypass

import (
	"net/netip"
	"slices"
	"strings"

	"alicorn/proxy"
)

// forwarding has the fields of proxy_headers that proxy_set_header does not set. They give
// servers the client's address and the URL that it has asked for.
type forwarding struct {
	fields []forwardingField
}

// forwardingField is one of these fields.
type forwardingField struct {
	name   string
	append func(dst []byte, x *proxy.Exchange) []byte
	// adds says that the field is a list, to which our value is added if a trusted client has
	// sent the field. Otherwise the value of a trusted client is passed on unchanged.
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

// newForwarding returns the fields of allForwarding that are not in set.
func newForwarding(set []setHeader) *forwarding {
	f := &forwarding{}
	for _, field := range allForwarding {
		if !slices.ContainsFunc(set, func(o setHeader) bool { return strings.EqualFold(o.name, field.name) }) {
			f.fields = append(f.fields, field)
		}
	}
	return f
}

// appendTo appends the fields. trusted says that the client is a proxy whose values count.
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

// appendSaid appends the values of a field of the client, as one list. said says that there
// are some.
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

// hides reports whether a field of the client is not passed on: if forwarding sets it, in any
// spelling, or if the client is not trusted and it is a field of proxies.
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

// sameKey reports whether two field names are the same variable for a CGI application.
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

// appendAuthority appends the host that the client asks for, as the client has written it.
func appendAuthority(dst []byte, x *proxy.Exchange) []byte {
	if x.Req.Authority != "" {
		return append(dst, x.Req.Authority...)
	}
	return append(dst, x.Req.Host...)
}

// listeningPort returns the port that the client has connected to. On a unix socket it is the
// scheme's default.
func listeningPort(x *proxy.Exchange) string {
	switch {
	case x.Conn.LocalPort != "":
		return x.Conn.LocalPort
	case x.Req.Scheme == "https":
		return securePort
	}
	return defaultPort
}

// appendForwarded appends this server's element of Forwarded: RFC 7239 section 4.
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
		dst = append(append(append(dst, `;host="`...), x.Req.Authority...), '"') // an authority has no quotes
	}
	return dst
}
