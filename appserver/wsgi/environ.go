package wsgi

import (
	"strconv"
	"strings"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// always are the names that every environ has, in the order of their values.
const always = "PATH_INFO\x00QUERY_STRING\x00RAW_URI\x00REQUEST_URI\x00REMOTE_ADDR\x00REMOTE_PORT\x00"

// Environ makes the environ of q in e, as PEP 3333 and CGI (RFC 3875) have it.
func Environ(e *wire.Environ, q gateway.Request) {
	r, scheme := &q.Req, q.Way.Scheme
	e.Reset()
	e.Fix("SCRIPT_NAME", "")
	e.Fix("SERVER_PROTOCOL", r.Proto)
	e.Fix("SERVER_PORT", q.ServerPort(scheme))
	e.Fix("wsgi.url_scheme", scheme)
	if scheme == "https" {
		e.Fix("HTTPS", "on")
	}
	addMethod(e, r.Method)
	addServerName(e, &q)
	e.Names(always)
	e.Value(r.Asked)
	e.Value(r.Args)
	e.Value(r.Target)
	e.Value(r.Target)
	e.Value(q.RemoteAddr())
	e.Value(q.RemotePort())
	addProxied(e, q.Conn)
	if q.User != "" {
		e.Add("REMOTE_USER", q.User)
	}
	if q.HasRequestID() {
		e.Add("REQUEST_ID", q.RequestID())
	}
	if q.Length >= 0 {
		e.AddNumber("CONTENT_LENGTH", q.Length)
	}
	rules := q.Rules()
	switch {
	case rules.NoForwarding:
		addOwn(e, &q)
	case rules.NoForwardedFor:
		e.Add("HTTP_X_FORWARDED_FOR", q.ForwardedFor())
	}
	addFields(e, r, rules)
}

// Line returns the method and the target of the request of an environ.
func Line(e *wire.Environ) string {
	var method, target string
	e.Each(func(name, value string) {
		switch name {
		case "REQUEST_METHOD":
			method = value
		case "REQUEST_URI":
			target = value
		}
	})
	return method + " " + target
}

// addMethod adds the method. The usual ones are part of the shape; a client may
// make up any number of others.
func addMethod(e *wire.Environ, method string) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		e.Fix("REQUEST_METHOD", method)
	default:
		e.Add("REQUEST_METHOD", method)
	}
}

// addProxied adds, as gunicorn does, what a header of the PROXY protocol says of the
// address that the client connected to.
func addProxied(e *wire.Environ, c *proxy.Conn) {
	h := c.ProxyProtocol
	if h == nil {
		return
	}
	family, to := "TCP4", h.Destination
	if to.Addr().Is6() {
		family = "TCP6"
	}
	e.Add("PROXY_PROTOCOL", family)
	e.Add("PROXY_ADDR", to.Addr().String())
	e.Add("PROXY_PORT", strconv.Itoa(int(to.Port())))
}

// addServerName adds a name that is never empty, as PEP 3333 asks.
func addServerName(e *wire.Environ, q *gateway.Request) {
	if name, fixed := q.ServerName(); fixed {
		e.Fix("SERVER_NAME", name)
	} else {
		e.Add("SERVER_NAME", name)
	}
}

// addOwn adds the fields of proxies from what the front knows.
func addOwn(e *wire.Environ, q *gateway.Request) {
	e.Fix("HTTP_X_FORWARDED_PROTO", q.Req.Scheme)
	e.Fix("HTTP_X_FORWARDED_PORT", q.ServerPort(q.Req.Scheme))
	e.Add("HTTP_X_FORWARDED_FOR", q.RemoteAddr())
	e.Add("HTTP_X_REAL_IP", q.RemoteAddr())
	if q.Req.Authority != "" {
		e.Add("HTTP_X_FORWARDED_HOST", q.Req.Authority)
	}
}

// addFields adds the header fields that rules let pass.
func addFields(e *wire.Environ, r *proxy.Request, rules gateway.Rules) {
	h := &r.Header
	if r.Authority != "" {
		e.Add("HTTP_HOST", r.Authority)
	}
	names := h.Repeats(rules.Underscores)
	typed := false
	for i := range h.Len() {
		f := h.At(i)
		switch f.ID() {
		case proxy.FieldHost:
			if r.Authority != "" {
				continue
			}
		case proxy.FieldContentType:
			if !typed {
				e.Add("CONTENT_TYPE", f.Value)
				typed = true
			}
			continue
		default:
			if !rules.Passes(f) {
				continue
			}
		}
		switch {
		case names.Alone(i):
			e.AddField(f.Name, f.Value)
		case names.First(i):
			e.AddField(f.Name, joined(h, i, &names))
		}
	}
}

// joined returns the value of field line i and of the later ones of its name.
func joined(h *proxy.Header, i int, names *proxy.Repeats) string {
	f := h.At(i)
	j := names.Next(i)
	if j == 0 {
		return f.Value
	}
	sep := ","
	if f.ID() == proxy.FieldCookie {
		sep = "; "
	}
	var b strings.Builder
	for b.WriteString(f.Value); j != 0; j = names.Next(j) {
		b.WriteString(sep)
		b.WriteString(h.At(j).Value)
	}
	return b.String()
}
