package h1

import (
	"strings"

	"alicorn/proxy"
)

// ResponseRules bound response heads.
type ResponseRules struct {
	Head   int64 // the longest head, in bytes
	Fields int   // the most fields
	// CGI says that a head may be one of CGI (RFC 3875 section 6), which gateways send in
	// place of HTTP/1's: without a status line. Its status is that of the field Status;
	// without one it is 302 where there is a Location, else 200.
	CGI bool
}

// ResponseHead reads one response head. With the Method set, it is ready.
type ResponseHead struct {
	// Method is that of the request which the response answers. With HEAD no body
	// follows.
	Method string

	// Status is the status, 100 to 999. One below 200 announces a further head,
	// except for 101, behind which another protocol follows.
	Status int
	// Reason is the reason phrase, "" where the server sent none.
	Reason string
	// Minor is the minor version: 0 for HTTP/1.0.
	Minor uint8
	// Header has every field as it came, those of the connection too.
	Header proxy.Header
	// ContentLength is what that field says, also where no body follows; -1
	// without one.
	ContentLength int64
	// Body is the body that follows the head.
	Body Body
	// KeepAlive says that the connection can carry another request after the body.
	KeepAlive bool
	// Ignored has the names of fields that were left out, as they are no tokens.
	Ignored []string

	lines   lines
	framing framing
}

// Reset makes h ready for a further head, an answer to method. It keeps its memory.
func (h *ResponseHead) Reset(method string) {
	h.Header.Reset()
	*h = ResponseHead{Method: method, Header: h.Header, Ignored: h.Ignored[:0]}
}

// Interim reports that another head follows this one.
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Bodyless reports that no body follows, whatever the head says of its length.
func (h *ResponseHead) Bodyless() bool {
	return h.Method == "HEAD" || h.Status < 200 || h.Status == 204 || h.Status == 304
}

const badStatusLine = "an invalid status line"

// Feed reads the head at the start of b, which begins with what was fed before.
// It returns 0 when more is needed, else the length of the head. After an error,
// an *Error, and after the end, h is not fed any more.
func (h *ResponseHead) Feed(b []byte, rules *ResponseRules) (n int, err error) {
	if !rules.CGI && !begins(b) {
		return 0, bad(badStatusLine)
	}
	for n == 0 {
		line, ok := h.lines.next(b)
		switch {
		case int64(len(b)) > rules.Head && (!ok || int64(h.lines.end) > rules.Head):
			return 0, bad("a too large head")
		case !ok:
			return 0, nil
		case len(line) == 0:
			n = h.lines.end
		}
	}
	return n, h.parse(b[:n], rules)
}

// begins reports that b begins as a status line, as far as it goes: what follows
// is not waited for otherwise.
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

// parseStatusLine reads a status line without its end: RFC 9112 section 4. The
// space before a reason phrase that is not there may lack, as many servers have
// it.
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

// parseStatus reads a status and its reason phrase.
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

// parseField reads one header line without its end.
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

// note takes what a field says of the body and of the connection. Lines of
// Content-Length that are the same are one (RFC 9110 section 8.6).
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

// finish judges the head as a whole and settles which body follows: RFC 9112
// section 6.3.
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
		// A server that announces a body may send it as well.
		h.Body, h.KeepAlive = Body{}, h.KeepAlive && f.codings == 0 && f.length == 0
	default:
		h.Body = NewBody(h.ContentLength, f.codings > 0)
		h.KeepAlive = h.KeepAlive && (f.codings > 0 || f.lengths > 0)
	}
	return nil
}

// finishCGI is finish for a head of CGI, or one of HTTP/1 in its place. The body has its
// Content-Length, or ends with the connection: Transfer-Encoding tells nothing, as in
// nginx. The connection carries no other request.
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

// settleStatus takes the status from the fields, as nginx does. Of several lines the first
// counts.
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
