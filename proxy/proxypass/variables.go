package proxypass

import (
	"strings"

	"alicorn/proxy"
)

// variables returns the variables of a request that is passed on.
func (st *state) variables() []proxy.Variable {
	return []proxy.Variable{
		{Name: "proxy_host", Get: st.ofTarget(func(t *target) string { return t.host })},
		{Name: "proxy_port", Get: st.ofTarget(func(t *target) string { return t.port })},
		{Name: "proxy_add_x_forwarded_for", Get: addForwardedFor},
		{Name: "fastcgi_script_name", Get: st.scriptName},
		{Name: "fastcgi_path_info", Get: st.pathInfo},
		{Name: "upstream_http_", Family: st.answerField},
		{Name: "upstream_cookie_", Family: st.answerCookie},
	}
}

// ofTarget is a variable about where the request is passed on to. As in nginx, there is none
// after an internal redirect.
func (st *state) ofTarget(f func(t *target) string) proxy.Getter {
	return func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
		p := *st.pass.In(x)
		if p == nil || p.location != x.Location || p.target == nil || p.target.origin == "" {
			return dst, false
		}
		return append(dst, f(p.target)...), true
	}
}

// addForwardedFor is $proxy_add_x_forwarded_for: the client's X-Forwarded-For, and the client's
// address.
func addForwardedFor(x *proxy.Exchange, dst []byte) ([]byte, bool) {
	h := &x.Req.Header
	if _, ok := h.Lookup(proxy.FieldXForwardedFor); ok {
		for i := range h.Len() {
			if f := h.At(i); f.ID() == proxy.FieldXForwardedFor {
				dst = append(append(dst, f.Value...), ", "...)
			}
		}
	}
	return append(dst, x.RemoteAddr()...), true
}

// answerField is $upstream_http_NAME: the lines of the field in the last server's answer,
// joined by ", ".
func (st *state) answerField(rest string) proxy.Getter {
	name := strings.ReplaceAll(rest, "_", "-")
	return func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
		p := *st.pass.In(x)
		if p == nil {
			return dst, false
		}
		found := false
		for i := range p.raw.Header.Len() {
			f := p.raw.Header.At(i)
			if !strings.EqualFold(f.Name, name) {
				continue
			}
			if found {
				dst = append(dst, ", "...)
			}
			dst, found = append(dst, f.Value...), true
		}
		return dst, found
	}
}

// answerCookie is $upstream_cookie_NAME: the cookie of that name, whose case does not matter,
// in the last server's answer.
func (st *state) answerCookie(name string) proxy.Getter {
	if name == "" {
		return nil
	}
	return func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
		p := *st.pass.In(x)
		if p == nil {
			return dst, false
		}
		for i := range p.raw.Header.Len() {
			f := p.raw.Header.At(i)
			if f.ID() != proxy.FieldSetCookie {
				continue
			}
			pair, _, _ := strings.Cut(f.Value, ";")
			if k, v, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(k), name) {
				return append(dst, strings.TrimSpace(v)...), true
			}
		}
		return dst, false
	}
}
