package proxy

import "strconv"

// requestBody is the name of the variable with the request's body.
const requestBody = "request_body"

// bodyCopy is a copy of a request's body, for $request_body.
type bodyCopy struct {
	data []byte
	long bool // the body does not fit
}

// add adds a part of the body. limit is the largest body of which there is a copy.
func (b *bodyCopy) add(p []byte, limit int64) {
	if b.long || int64(len(b.data)+len(p)) > limit {
		b.data, b.long = nil, true
		return
	}
	b.data = append(b.data, p...)
}

// RemembersBody reports whether the configuration names $request_body: then a handler that
// sends requests on reads the body also where it does not pass it on.
func (x *Exchange) RemembersBody() bool { return x.Generation != nil && x.Generation.remembersBody }

// bodyText is $request_body: the body, once a handler has read all of it. As in nginx, there
// is none of a body that is larger than client_body_buffer_size.
func bodyText(x *Exchange, dst []byte) ([]byte, bool) {
	m := x.Main()
	return append(dst, m.body.data...), m.bodyEnded && len(m.body.data) > 0
}

// contentLength is $content_length: the field, or the length of a chunked body once a handler
// has read all of it.
func contentLength(x *Exchange, dst []byte) ([]byte, bool) {
	if v, ok := x.Req.Header.Lookup(FieldContentLength); ok || !x.Req.Chunked || !x.bodyEnded {
		return append(dst, v...), ok
	}
	return strconv.AppendInt(dst, x.bodyRead, 10), true
}

// portAsked is $request_port: the port in the request's target or its Host field; "": none.
func portAsked(x *Exchange) string {
	for i := len(x.Req.Authority) - 1; i >= 0; i-- {
		switch c := x.Req.Authority[i]; {
		case c == ':':
			return x.Req.Authority[i+1:]
		case c < '0' || c > '9':
			return ""
		}
	}
	return ""
}

// http2 is $http2: "h2" over TLS, "h2c" without it; "" if the request is not of HTTP/2.
func http2(x *Exchange) string {
	switch {
	case x.Req.Major != 2:
		return ""
	case x.Conn.TLS != nil:
		return "h2"
	}
	return "h2c"
}
