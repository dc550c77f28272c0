package proxypass

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"alicorn/proxy"
	"alicorn/proxy/h1"
	"alicorn/proxy/upstream"
)

// httpEncoder writes requests of HTTP/1.
type httpEncoder struct {
	uri     uriOf
	method  *proxy.Template // nil: the client's
	version string          // " HTTP/1.1\r\n"
	fields  []setHeader     // those of proxy_set_header, and those of usualFields
	passes  bool            // the client's other fields are passed on
	own     fieldSet        // fields of the client that are never passed on
	way     *forwarding     // proxy_headers; nil: off
	// hostless says that no proxy_set_header sets Host, so that proxy_headers does.
	hostless bool
}

// usualFields returns the fields that requests have unless proxy_set_header changes them, as
// in nginx: the connection to the server is not the client's. append writes the fields of the
// framing.
func usualFields(host *proxy.Template, version string) []setHeader {
	fixed := proxy.FixedTemplate
	connection := ""
	if version == "1.0" {
		connection = "close"
	}
	return []setHeader{
		{"Host", host}, {"Connection", fixed(connection)},
		{"TE", fixed("")}, {"Keep-Alive", fixed("")}, {"Expect", fixed("")}, {"Upgrade", fixed("")},
	}
}

func newHTTPEncoder(c *settings, location string) encoder {
	e := &httpEncoder{uri: uriOf{c.pass.uri, location}, method: c.method, version: " HTTP/" + c.version + "\r\n", passes: c.passHeaders}
	e.fields = slices.Clone(c.headers.Items())
	host := c.pass.shown
	if host == nil {
		host = proxy.FixedTemplate(c.pass.host)
	}
	for _, f := range usualFields(host, c.version) {
		if f.name == "Host" && c.setsHeaders {
			f.value = nil // proxy_headers sends the client's
		}
		if !slices.ContainsFunc(e.fields, func(o setHeader) bool { return strings.EqualFold(o.name, f.name) }) {
			e.fields = append(e.fields, f)
		}
	}
	if c.setsHeaders {
		e.way = newForwarding(c.headers.Items())
	}
	for _, name := range framing {
		e.own.add(name)
	}
	for _, f := range e.fields {
		e.own.add(f.name)
	}
	e.hostless = e.way != nil && !slices.ContainsFunc(c.headers.Items(), func(o setHeader) bool { return strings.EqualFold(o.name, "Host") })
	e.fields = slices.DeleteFunc(e.fields, func(f setHeader) bool {
		return f.value.IsEmpty() || slices.Contains(framing, strings.ToLower(f.name))
	})
	return e
}

func (e *httpEncoder) framing(length int64) upstream.Framing {
	if length == chunkedBody {
		return upstream.Framing{Head: h1.AppendChunkSize, Tail: h1.ChunkEnd, End: h1.LastChunk}
	}
	return upstream.Framing{}
}

func (e *httpEncoder) body(dst, body []byte) []byte { return append(dst, body...) }

// url appends the URL of a request at its peer.
func (e *httpEncoder) url(dst, request []byte) []byte {
	line, _, _ := bytes.Cut(request, []byte("\r\n"))
	_, line, _ = bytes.Cut(line, []byte(" "))
	uri, _, _ := bytes.Cut(line, []byte(" "))
	return append(dst, uri...)
}

func (e *httpEncoder) append(dst []byte, x *proxy.Exchange, to place, length int64) ([]byte, error) {
	if e.method != nil {
		if dst = e.method.Append(x, dst); !proxy.IsToken(dst) {
			return nil, &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf("invalid method %q from proxy_method", dst)}
		}
	} else {
		dst = append(dst, x.Req.Method...)
	}
	dst = e.uri.append(append(dst, ' '), x, to)
	dst = append(dst, e.version...)
	for i := range e.fields {
		f := &e.fields[i]
		start := len(dst)
		dst = append(append(dst, f.name...), ": "...)
		from := len(dst)
		if dst = f.value.Append(x, dst); len(dst) == from {
			dst = dst[:start]
			continue
		}
		if !h1.IsValue(unsafe.String(&dst[from], len(dst)-from)) {
			return nil, &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf("the value %q of proxy_set_header %s has a control character", dst[from:], f.name)}
		}
		dst = append(dst, '\r', '\n')
	}
	switch {
	case length >= 0:
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), length, 10), '\r', '\n')
	case length == chunkedBody:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	trusted := false
	if e.way != nil {
		trusted = x.Conn.Nearby()
		dst = e.appendWay(dst, x, trusted)
	}
	if e.passes {
		dst = e.appendClient(dst, &x.Req.Header, trusted)
	}
	return append(dst, '\r', '\n'), nil
}

// appendWay appends the fields of proxy_headers.
func (e *httpEncoder) appendWay(dst []byte, x *proxy.Exchange, trusted bool) []byte {
	if e.hostless {
		dst = append(appendAuthority(append(dst, "Host: "...), x), '\r', '\n')
	}
	return e.way.appendTo(dst, x, trusted)
}

// appendClient appends the client's fields, without those of its connection and those that its
// Connection names: RFC 9110 section 7.6.1. With proxy_headers, trusted says that the client is
// a proxy whose fields about forwarding are passed on.
func (e *httpEncoder) appendClient(dst []byte, h *proxy.Header, trusted bool) []byte {
	named := namedByConnection(h)
	for i := range h.Len() {
		f := h.At(i)
		if id := f.ID(); e.own.has(id, f.Name) || upstream.IsHopByHop(id, f.Name) || named != nil && named[strings.ToLower(f.Name)] || e.way != nil && e.way.hides(f.Name, trusted) {
			continue
		}
		dst = append(append(append(append(dst, f.Name...), ": "...), f.Value...), '\r', '\n')
	}
	return dst
}

// namedByConnection returns the names in the client's Connection fields, in lower case; nil if
// the first is "close" or "keep-alive".
func namedByConnection(h *proxy.Header) map[string]bool {
	first, ok := h.Lookup(proxy.FieldConnection)
	if !ok || strings.EqualFold(first, "close") || strings.EqualFold(first, "keep-alive") {
		return nil
	}
	named := map[string]bool{}
	for f := range h.All() {
		if f.ID() != proxy.FieldConnection {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			named[strings.ToLower(strings.Trim(option, " \t"))] = true
		}
	}
	return named
}
