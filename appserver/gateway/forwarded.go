package gateway

import (
	"strings"

	"alicorn/proxy"
)

// ForwardedFor returns X-Forwarded-For with $remote_addr at its end, as nginx's
// $proxy_add_x_forwarded_for has it.
func (q *Request) ForwardedFor() string {
	h := &q.Req.Header
	var chain strings.Builder
	for i := range h.Len() {
		if f := h.At(i); isForwardedFor(f) {
			chain.WriteString(f.Value)
			chain.WriteString(", ")
		}
	}
	if chain.Len() == 0 {
		return q.RemoteAddr()
	}
	chain.WriteString(q.RemoteAddr())
	return chain.String()
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
