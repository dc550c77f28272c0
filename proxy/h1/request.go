package h1

import (
	"bytes"
	"strings"

	"alicorn/proxy"
)

// RequestRules are the settings for request heads.
type RequestRules struct {
	Line          int64 // the longest line, in bytes, with its end
	Head          int64 // the longest head, in bytes
	Fields        int   // how many fields are kept at most; more are an error
	Underscores   bool  // underscores_in_headers: see IgnoreInvalid
	IgnoreInvalid bool  // ignore_invalid_headers: a name may have letters, digits, hyphens and, with Underscores, underscores; other fields are left out
}

// RequestHead reads one request head. The zero RequestHead is ready.
type RequestHead struct {
	// Skipped is how many bytes the empty lines before the request have.
	Skipped int
	// Simple is set if the request is of HTTP/0.9: its response is a body alone.
	Simple bool
	// KeepAlive is set if the client may send another request on the connection.
	KeepAlive bool
	// Continue is set if the client waits for 100 Continue before it sends the body.
	Continue bool
	// Ignored has the names of the fields that IgnoreInvalid has left out.
	Ignored []string

	state   requestState
	empty   int // how many empty lines were skipped
	lines   lines
	hosts   int    // how many Host lines have come
	expect  string // the value of Expect; "" without one
	framing framing
}

// requestState is the part of a request's head that is searched for its end.
type requestState uint8

const (
	inEmptyLines requestState = iota
	inRequestLine
	inFields
)

// maxEmptyLines bounds the empty lines that are skipped before a request (RFC 9112 section
// 2.2).
const maxEmptyLines = 8

// continue100 is the only expectation that RFC 9110 section 10.1.1 defines.
const continue100 = "100-continue"

var (
	space   = []byte(" ")
	crlfEnd = []byte("\n\r\n")
	lfEnd   = []byte("\n\n")
)

// Begun reports whether more than empty lines has come.
func (h *RequestHead) Begun() bool { return h.state > inEmptyLines }

// Feed reads the head at the start of b. b must begin with the bytes of the calls before.
// If the head is incomplete, n is 0. Otherwise n is the length of the head, with Skipped,
// and r is filled. err is an *Error: r is filled as far as the head was understood, and n
// is 0 if the end of the head has not come. After an error and after the end Feed must not
// be called again.
func (h *RequestHead) Feed(r *proxy.Request, b []byte, rules *RequestRules) (n int, err error) {
	if h.state == inEmptyLines {
		if more, err := h.skipEmptyLines(b); more || err != nil {
			return 0, err
		}
	}
	b = b[h.Skipped:]
	whole := holdsHead(b, rules)
	if !whole {
		if n, err = h.findEnd(b, rules); n == 0 {
			if err != nil {
				partialLine(r, b)
			}
			return 0, err
		}
		b = b[:n]
	}
	n, err = h.parse(r, b, rules)
	if err != nil {
		if n = len(b); whole {
			n, _ = h.findEnd(b, rules)
		}
	}
	return h.Skipped + n, err
}

// holdsHead reports whether b has a whole head, because b ends with an empty line, and is
// so short that nothing in it exceeds the rules. Then Feed need not look for the end.
func holdsHead(b []byte, rules *RequestRules) bool {
	return int64(len(b)) < min(rules.Line, rules.Head) && (bytes.HasSuffix(b, crlfEnd) || bytes.HasSuffix(b, lfEnd))
}

// findEnd returns the length of the head at the start of b; 0 if the head is incomplete.
// It does not look again at bytes of an earlier call.
func (h *RequestHead) findEnd(b []byte, rules *RequestRules) (n int, err error) {
	for {
		line, ok := h.lines.next(b)
		if ok && len(line) == 0 {
			return h.lines.end, nil
		}
		if err := h.checkLength(b, ok, rules); err != nil {
			return 0, err
		}
		if !ok {
			return 0, nil
		}
		if h.state == inRequestLine && bytes.Count(line, space) < 2 {
			return h.lines.end, nil // HTTP/0.9, or not a request line: no fields follow
		}
		h.state = inFields
	}
}

// skipEmptyLines skips the empty lines before a request and checks the request's first
// byte. more is true if that byte has not come yet.
func (h *RequestHead) skipEmptyLines(b []byte) (more bool, err error) {
	for {
		rest := b[h.Skipped:]
		switch {
		case len(rest) == 0, rest[0] == '\r' && len(rest) == 1:
			return true, nil
		case rest[0] == '\n':
			h.Skipped++
		case rest[0] == '\r' && rest[1] == '\n':
			h.Skipped += 2
		case !proxy.IsTokenByte(rest[0]): // this includes a bare CR
			h.state = inRequestLine
			return false, bad("invalid method")
		default:
			h.state = inRequestLine
			return false, nil
		}
		if h.empty++; h.empty > maxEmptyLines {
			return false, bad("too many empty lines before a request")
		}
	}
}

// checkLength checks the length of the last line, with its LF, and of the head up to that
// LF. An incomplete line counts as if its LF had come. A line that may be the empty one at
// the end of the head has no bound.
func (h *RequestHead) checkLength(b []byte, complete bool, rules *RequestRules) error {
	l := &h.lines
	line, head := l.end-l.start, l.end-1
	if !complete {
		if len(trimCR(b[l.end:])) == 0 {
			return nil
		}
		line, head = len(b)-l.end+1, len(b)
	}
	switch {
	case int64(line) > rules.Line && h.state == inRequestLine:
		return &Error{uriTooLong, "too long URI"}
	case int64(line) > rules.Line:
		return &Error{headerTooLarge, "too long header line"}
	case int64(head) > rules.Head:
		return &Error{headerTooLarge, "too large request"}
	}
	return nil
}

// Partial fills in r's request line, for logs, if the line is complete and the head is not.
// b must be what Feed was given last.
func (h *RequestHead) Partial(r *proxy.Request, b []byte) {
	if h.Begun() {
		partialLine(r, b[h.Skipped:])
	}
}

func partialLine(r *proxy.Request, b []byte) {
	if bytes.IndexByte(b, '\n') >= 0 {
		line, _ := cutLine(b)
		new(RequestHead).parseLine(r, line)
	}
}

// parse reads the complete head at the start of text, and returns its length.
func (h *RequestHead) parse(r *proxy.Request, text []byte, rules *RequestRules) (n int, err error) {
	line, rest := cutLine(text)
	if bytes.IndexByte(line, '\r') >= 0 {
		return 0, bad("a bare CR in the request line")
	}
	if err := h.parseLine(r, line); err != nil {
		return 0, err
	}
	for !h.Simple {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			err = h.finish(r)
			break
		}
		if err := h.parseField(r, line, rules); err != nil {
			return 0, err
		}
	}
	return len(text) - len(rest), err
}

// parseLine reads a request line, without its end, into r.
func (h *RequestHead) parseLine(r *proxy.Request, line []byte) error {
	r.Line = view(line)
	sp := bytes.IndexByte(line, ' ')
	if sp < 0 || !proxy.IsToken(line[:sp]) {
		return bad("invalid method")
	}
	r.Method = view(line[:sp])
	rest := line[sp+1:]
	sp = bytes.IndexByte(rest, ' ')
	if sp < 0 {
		return h.parseSimple(r, rest)
	}
	target, version := rest[:sp], rest[sp+1:]
	if !isTarget(target) {
		return bad("an invalid request target")
	}
	r.Target = view(target)
	return parseVersion(r, version)
}

// parseSimple reads the target of an HTTP/0.9 request.
func (h *RequestHead) parseSimple(r *proxy.Request, target []byte) error {
	if r.Method != "GET" || !isTarget(target) {
		return bad("an invalid request line")
	}
	r.Target = view(target)
	if err := checkTarget(r); err != nil {
		return err
	}
	r.Proto, r.Minor, r.Major = "HTTP/0.9", 9, 0
	h.Simple = true
	return nil
}

// parseVersion reads the version into r. Versions of HTTP/1 are accepted.
func parseVersion(r *proxy.Request, v []byte) error {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[6] != '.' || v[5] < '0' || v[5] > '9' || v[7] < '0' || v[7] > '9' {
		return bad("invalid version")
	}
	r.Proto, r.Major, r.Minor = view(v), v[5]-'0', v[7]-'0'
	switch {
	case r.Major == 1:
		return nil
	case r.Major == 2 && r.Method == "PRI" && r.Target == "*":
		return bad("an HTTP/2 preface to an HTTP/1.1 server")
	case r.Major > 1:
		return &Error{Status: badVersion}
	}
	return bad("invalid version")
}

func isTarget(t []byte) bool {
	return len(t) > 0 && consistsOf(t, inTarget, '!')
}

// checkTarget checks the form of the target (RFC 9112 section 3.2), and takes the
// authority of the absolute form, which overrides Host. CONNECT, the only method with the
// authority form, and TRACE get 405. The asterisk form gets 400, as from nginx: no setting
// is for the server as a whole.
func checkTarget(r *proxy.Request) error {
	switch {
	case r.Method == "CONNECT" || r.Method == "TRACE":
		return &Error{Status: notAllowed}
	case r.Target[0] == '/':
		return nil
	}
	scheme, rest, ok := strings.Cut(r.Target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return bad("an invalid request target")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	if authority == "" || !validHost(authority) {
		return bad("an invalid host in the request target")
	}
	r.Authority = authority
	return nil
}

// parseField reads one header line, without its end.
func (h *RequestHead) parseField(r *proxy.Request, line []byte, rules *RequestRules) error {
	name, value, plain, err := cutField(line)
	switch {
	case err != nil:
		return err
	case !plain && !rules.keeps(name):
		h.Ignored = append(h.Ignored, view(name))
		return nil
	case r.Header.Len() >= rules.Fields:
		return &Error{headerTooLarge, "too many header lines"}
	}
	id := proxy.FieldIDOf(view(name))
	if once[id] {
		if _, again := r.Header.Lookup(id); again {
			return bad("several " + id.String() + " fields")
		}
	}
	r.Header.AddID(id, view(name), view(value))
	return h.note(r, id, view(value))
}

// once marks the fields of which a request with several lines is refused, as by nginx: who
// reads the first of them, and who reads the last, would take it for different requests.
var once = [256]bool{proxy.FieldAuthorization: true, proxy.FieldIfModifiedSince: true, proxy.FieldIfUnmodifiedSince: true, proxy.FieldIfNoneMatch: true,
	proxy.FieldIfMatch: true, proxy.FieldIfRange: true}

// keeps reports whether a field is kept whose name has other bytes than letters, digits
// and hyphens.
func (r *RequestRules) keeps(name []byte) bool {
	if !r.IgnoreInvalid {
		return true
	}
	for _, c := range name {
		if classes[c]&inName == 0 && (c != '_' || !r.Underscores) {
			return false
		}
	}
	return true
}

// note records a field that concerns the request's host, framing or connection.
func (h *RequestHead) note(r *proxy.Request, id proxy.FieldID, value string) error {
	switch id {
	case proxy.FieldHost:
		if h.hosts++; h.hosts > 1 {
			return bad("several Host fields")
		}
		if !validHost(value) {
			return bad("an invalid Host field")
		}
		if r.Authority == "" {
			r.Authority = value
		}
	case proxy.FieldExpect: // of several lines, one that is not 100-continue counts
		if h.expect == "" || !strings.EqualFold(value, continue100) {
			h.expect = value
		}
	case proxy.FieldContentLength, proxy.FieldTransferEncoding, proxy.FieldConnection:
		return h.framing.note(id, value)
	}
	return nil
}

// finish checks the head as a whole.
func (h *RequestHead) finish(r *proxy.Request) error {
	f := &h.framing
	h.KeepAlive = f.persists(r.Minor)
	switch {
	case f.codings > 0 && r.Minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request")
	case f.unknown:
		return &Error{notImplemented, "an unknown Transfer-Encoding"}
	case f.codings > 0 && f.lengths > 0:
		return bad("both Content-Length and Transfer-Encoding")
	case h.hosts == 0 && r.Minor > 0:
		return bad("an HTTP/1.1 request without a Host field")
	case h.expect != "" && r.Minor > 0 && !strings.EqualFold(h.expect, continue100):
		return &Error{Status: expectFailed}
	}
	h.Continue = h.expect != "" && r.Minor > 0
	r.ContentLength, r.Chunked = f.length, false
	if f.codings > 0 {
		r.ContentLength, r.Chunked = -1, true
	}
	return checkTarget(r)
}
