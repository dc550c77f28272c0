package asgi

import (
	"strings"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// always are the keys whose values every scope has, in their order.
const always = "=raw_path\x00=query_string\x00=client_host\x00=client_port\x00"

// Scope makes the connection scope of q in e (PROTOCOL.md, "Requests"). Keys of the scope
// begin with "=", as no header field does; those whose values are the same for many requests
// are fixed. Header fields come last.
func Scope(e *wire.Environ, q gateway.Request) {
	r := &q.Req
	e.Reset()
	addKind(e, &q)
	e.Fix("=http_version", version(r))
	unix, isUnix := strings.CutPrefix(q.Conn.LocalAddr, "unix:")
	if isUnix {
		e.Fix("=server_port", "")
		e.Fix("=server", unix)
	} else {
		e.Fix("=server_port", q.ServerPort(q.Way.Scheme))
		e.Fix("=server", q.ListeningName())
	}
	if q.RootPath != "" {
		e.Fix("=root_path", q.RootPath)
	}
	usual := q.WebSocket || isUsual(r.Method)
	if usual && !q.WebSocket {
		e.Fix("=method", r.Method)
	}
	e.Names(always)
	e.Value(rawPath(&q))
	e.Value(r.Args)
	addClient(e, &q)
	if !usual {
		e.Add("=method", r.Method)
	}
	addOptional(e, &q)
	addFields(e, &q)
}

// addKind adds type and scheme.
func addKind(e *wire.Environ, q *gateway.Request) {
	secure := q.Way.Scheme == "https"
	kind, scheme := "http", "http"
	switch {
	case q.WebSocket && secure:
		kind, scheme = "websocket", "wss"
	case q.WebSocket:
		kind, scheme = "websocket", "ws"
	case secure:
		scheme = "https"
	}
	e.Fix("=type", kind)
	e.Fix("=scheme", scheme)
}

// version returns the version of HTTP as a scope has it: "1.0", "1.1", "2", "3".
func version(r *proxy.Request) string {
	v := strings.TrimPrefix(r.Proto, "HTTP/")
	if r.Major >= 2 {
		v = strings.TrimSuffix(v, ".0")
	}
	return v
}

// isUsual reports whether a method may be a part of the shape. A client may make up any
// number of others.
func isUsual(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return false
}

// rawPath returns the path without the query as the client has sent it or, once a rewrite or
// an internal redirect has changed it, the new one, escaped.
func rawPath(q *gateway.Request) string {
	if q.URIChanges() > 0 {
		return string(proxy.EscapePath(nil, q.Req.Asked))
	}
	path := q.Req.Target
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	return path
}

// addClient adds the client's address, which is empty on a unix socket.
func addClient(e *wire.Environ, q *gateway.Request) {
	host := q.RemoteAddr()
	if host == "unix:" {
		host = ""
	}
	e.Value(host)
	e.Value(q.RemotePort())
}

// addOptional adds the keys that only some requests have.
func addOptional(e *wire.Environ, q *gateway.Request) {
	if q.Length >= 0 {
		e.AddNumber("=length", q.Length)
	}
	if q.HasRequestID() {
		e.Add("=request_id", q.RequestID())
	}
	if t := q.Conn.TLS; t != nil {
		e.AddNumber("=tls_version", int64(t.Version))
	}
}

// addFields adds the header fields: Host, the server's own in place of those that a client
// may not send, and the others in the order of the request.
func addFields(e *wire.Environ, q *gateway.Request) {
	r := &q.Req
	h := &r.Header
	if r.Authority != "" {
		e.Add("host", r.Authority)
	}
	rules := q.Rules()
	switch {
	case rules.NoForwarding:
		addOwn(e, q)
	case rules.NoForwardedFor:
		e.Add("x-forwarded-for", q.ForwardedFor())
	}
	sized := q.Length < 0
	for i := range h.Len() {
		f := h.At(i)
		switch f.ID() {
		case proxy.FieldHost:
			if r.Authority == "" {
				e.Add("host", f.Value)
			}
		case proxy.FieldContentLength, proxy.FieldTransferEncoding:
			switch {
			case !sized:
				e.AddNumber("content-length", q.Length)
				sized = true
			case q.Length < 0 && f.ID() == proxy.FieldTransferEncoding:
				e.Add("transfer-encoding", "chunked") // a body of a length that nobody knows
			}
		case proxy.FieldConnection, proxy.FieldUpgrade:
			if q.WebSocket {
				e.AddLower(f.Name, f.Value)
			}
		default:
			if rules.Passes(f) {
				e.AddLower(f.Name, f.Value)
			}
		}
	}
}

// addOwn adds the fields of proxies from what the front knows.
func addOwn(e *wire.Environ, q *gateway.Request) {
	e.Add("x-forwarded-proto", q.Req.Scheme)
	e.Add("x-forwarded-port", q.ServerPort(q.Req.Scheme))
	e.Add("x-forwarded-for", q.RemoteAddr())
	e.Add("x-real-ip", q.RemoteAddr())
	if q.Req.Authority != "" {
		e.Add("x-forwarded-host", q.Req.Authority)
	}
}

// Line returns the method and the target of the request of a scope.
func Line(e *wire.Environ) string {
	method, target := "GET", ""
	e.Each(func(name, value string) {
		switch name {
		case "=method":
			method = value
		case "=raw_path":
			target = value
		case "=query_string":
			if value != "" {
				target += "?" + value
			}
		}
	})
	return method + " " + target
}
