package h1

import (
	"strings"

	"alicorn/proxy"
)

// ResponseRules are the settings for response heads.
type ResponseRules struct {
	Head   int64 // the longest head, in bytes
	Fields int   // how many fields a head may have
	// CGI is set for gateways. Their heads may be of CGI (RFC 3875 section 6): without a
	// status line. The status is then the field Status; without one it is 302 if there is
	// a Location, otherwise 200.
	CGI bool
}

// ResponseHead reads one response head. It is ready when Method is set.
type ResponseHead struct {
	// Method is the method of the request. A response to HEAD has no body.
	Method string

	// Status is the status, 100 to 999. After 101 another protocol follows; after another
	// status below 200 another head does.
	Status int
	// Reason is the reason phrase; "" if the server sent none.
	Reason string
	// Minor is the minor version: 0 for HTTP/1.0.
	Minor uint8
	// Header has all fields as they came, except for the Ignored ones.
	Header proxy.Header
	// ContentLength is the value of that field, even if no body follows; -1 without one.
	ContentLength int64
	// Body is the body that follows the head.
	Body Body
	// KeepAlive is set if the connection can carry another request after the body.
	KeepAlive bool
	// Ignored has the names of the fields that were left out because the name is not a
	// token.
	Ignored []string

	lines   lines
	framing framing
}

// Reset makes h ready for the head of a response to method. It keeps its memory.
func (h *ResponseHead) Reset(method string) {
	h.Header.Reset()
	*h = ResponseHead{Method: method, Header: h.Header, Ignored: h.Ignored[:0]}
}

// Interim reports whether another head follows this one.
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Bodyless reports whether method and status rule out a body, whatever the fields say.
func (h *ResponseHead) Bodyless() bool {
	return h.Method == "HEAD" || h.Status < 200 || h.Status == 204 || h.Status == 304
}

// Texts of errors.
const (
	badStatusLine = "an invalid status line"
	tooBigHeader  = "too big header" // in nginx's words
)

// Feed reads the head at the start of b. b must begin with the bytes of the calls before.
// n is the length of the head; 0 if it is incomplete. err is an *Error. After an error and
// after the end Feed must not be called again before Reset.
func (h *ResponseHead) Feed(b []byte, rules *ResponseRules) (n int, err error) {
	if !rules.CGI && !begins(b) {
		return 0, bad(badStatusLine)
	}
	for n == 0 {
		line, ok := h.lines.next(b)
		switch {
		case int64(len(b)) > rules.Head && (!ok || int64(h.lines.end) > rules.Head):
			return 0, bad(tooBigHeader)
		case !ok:
			return 0, nil
		case len(line) == 0:
			n = h.lines.end
		}
	}
	return n, h.parse(b[:n], rules)
}

// begins reports whether b begins as a status line does, as far as b goes.
func begins(b []byte) bool {
	const version = "HTTP/1."
	n := min(len(b), len(version))
	return string(b[:n]) == version[:n]
}

// parse reads a complete head.
func (h *ResponseHead) parse(text []byte, rules *ResponseRules) error {
	rest := text
	var line []byte
	if !rules.CGI || begins(text) {
		line, rest = cutLine(text)
		if err := h.parseStatusLine(line); err != nil {
			return err
		}
	}
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 && rules.CGI {
			return h.finishCGI()
		}
		if len(line) == 0 {
			return h.finish()
		}
		if err := h.parseField(line, rules); err != nil {
			return err
		}
	}
}

// parseStatusLine reads a status line, without its end (RFC 9112 section 4). The space
// before an empty reason phrase may be missing, as it is from many servers.
func (h *ResponseHead) parseStatusLine(line []byte) error {
	const version = len("HTTP/1.1 ")
	if len(line) < version || !isDigit(line[7]) || line[8] != ' ' {
		return bad(badStatusLine)
	}
	h.Minor = line[7] - '0'
	if err := h.parseStatus(view(line[version:]), badStatusLine); err != nil {
		return err
	}
	if !consistsOf(line[version:], inValue, ' ') {
		return bad("a control character in the status line")
	}
	return nil
}

// parseStatus reads a status and its reason phrase. invalid is the text of its error.
func (h *ResponseHead) parseStatus(text, invalid string) error {
	const digits = 3
	if len(text) < digits || len(text) > digits && text[digits] != ' ' {
		return bad(invalid)
	}
	for i := range digits {
		if !isDigit(text[i]) {
			return bad(invalid)
		}
		h.Status = h.Status*10 + int(text[i]-'0')
	}
	if h.Status < 100 {
		return bad("an invalid status")
	}
	h.Reason = text[min(digits+1, len(text)):]
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseField reads one header line, without its end.
func (h *ResponseHead) parseField(line []byte, rules *ResponseRules) error {
	name, value, plain, err := cutField(line)
	switch {
	case err != nil:
		return err
	case !plain && !proxy.IsToken(name):
		h.Ignored = append(h.Ignored, view(name))
		return nil
	case h.Header.Len() >= rules.Fields:
		return bad("too many header lines")
	}
	id := proxy.FieldIDOf(view(name))
	h.Header.AddID(id, view(name), view(value))
	return h.note(id, view(value))
}

// note records a field that concerns the body or the connection. Equal lines of
// Content-Length count as one (RFC 9110 section 8.6).
func (h *ResponseHead) note(id proxy.FieldID, value string) error {
	f := &h.framing
	switch id {
	case proxy.FieldContentLength:
		if f.lengths > 0 && value == h.Header.Value(proxy.FieldContentLength) {
			return nil
		}
		return f.note(id, value)
	case proxy.FieldTransferEncoding, proxy.FieldConnection:
		return f.note(id, value)
	}
	return nil
}

// finish checks the head as a whole and decides which body follows (RFC 9112 section 6.3).
func (h *ResponseHead) finish() error {
	f := &h.framing
	switch {
	case f.codings > 0 && h.Minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 response")
	case f.unknown:
		return bad("an unknown Transfer-Encoding")
	case f.codings > 0 && f.lengths > 0:
		return bad("both Content-Length and Transfer-Encoding")
	case h.Status < 200 && (f.codings > 0 || f.length > 0):
		return bad("an interim response with a body")
	}
	if h.ContentLength = -1; f.lengths > 0 {
		h.ContentLength = f.length
	}
	h.KeepAlive = f.persists(h.Minor) && h.Status != 101
	switch {
	case h.Method == "HEAD" || h.Status < 200 || h.Status == 304:
		h.Body = Body{}
	case h.Status == 204:
		// A server that announces a body may also send it.
		h.Body, h.KeepAlive = Body{}, h.KeepAlive && f.codings == 0 && f.length == 0
	default:
		h.Body = NewBody(h.ContentLength, f.codings > 0)
		h.KeepAlive = h.KeepAlive && (f.codings > 0 || f.lengths > 0)
	}
	return nil
}

// finishCGI is finish for a head of a gateway. The body has its Content-Length, or ends
// with the connection; as in nginx, Transfer-Encoding means nothing. The connection cannot
// carry another request.
func (h *ResponseHead) finishCGI() error {
	if h.Status == 0 {
		if err := h.settleStatus(); err != nil {
			return err
		}
	}
	f := &h.framing
	switch {
	case f.codings > 0 && f.lengths > 0:
		return bad("both Content-Length and Transfer-Encoding")
	case h.Status < 200 && f.length > 0:
		return bad("an interim response with a body")
	}
	if h.ContentLength = -1; f.lengths > 0 {
		h.ContentLength = f.length
	}
	if h.Bodyless() {
		h.Body = Body{}
	} else {
		h.Body = NewBody(h.ContentLength, false)
	}
	return nil
}

// settleStatus takes the status from the fields, as nginx does. Of several Status lines the
// first counts.
func (h *ResponseHead) settleStatus() error {
	for f := range h.Header.All() {
		if strings.EqualFold(f.Name, "Status") {
			return h.parseStatus(f.Value, "an invalid status")
		}
	}
	h.Status = 200
	if _, ok := h.Header.Lookup(proxy.FieldLocation); ok {
		h.Status, h.Reason = 302, "Moved Temporarily"
	}
	return nil
}
