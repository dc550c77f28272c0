package http1

import (
	"bytes"
	"math"
	"strings"
	"unsafe"

	"alicorn/proxy"
)

// view returns b as a string without a copy. It is valid as long as b's bytes
// are left alone.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// head is what the fields of one request say of its framing.
type head struct {
	hosts, lengths, codings int
	length                  int64
	expect                  string
	unknown                 bool // a coding that is not chunked alone
	close, keepAlive        bool
}

// continue100 is the one expectation, RFC 9110 section 10.1.1.
const continue100 = "100-continue"

func bad(reason string) error {
	return &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: "client sent " + reason}
}

// parseLine reads a request line without its line end into r. simple reports
// an HTTP/0.9 request.
func parseLine(r *proxy.Request, line []byte) (simple bool, err error) {
	r.Line = view(line)
	sp := bytes.IndexByte(line, ' ')
	if sp < 0 || !isToken(line[:sp]) {
		return false, bad("invalid method")
	}
	r.Method = view(line[:sp])
	rest := line[sp+1:]
	sp = bytes.IndexByte(rest, ' ')
	if sp < 0 {
		if r.Method != "GET" || !validTarget(rest) {
			return false, bad("invalid request line")
		}
		r.Target = view(rest)
		if err := checkTarget(r); err != nil {
			return false, err
		}
		r.Proto, r.Minor, r.Major = "HTTP/0.9", 9, 0
		return true, nil
	}
	target, version := rest[:sp], rest[sp+1:]
	if !validTarget(target) {
		return false, bad("invalid request target")
	}
	r.Target = view(target)
	return false, parseVersion(r, version)
}

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
		return proxy.Status(505)
	}
	return bad("invalid version")
}

func validTarget(t []byte) bool {
	return len(t) > 0 && consistsOf(t, inTarget, '!')
}

// checkTarget judges the form of the target for its method (RFC 9112 section
// 3.2) and takes the authority of the absolute form, which overrides Host. The
// authority form is CONNECT's alone, and that is 405. The asterisk form is 400,
// as nginx answers it: there is nothing to ask of the server as a whole that
// its configuration does not say of a path.
func checkTarget(r *proxy.Request) error {
	switch {
	case r.Method == "CONNECT" || r.Method == "TRACE":
		return proxy.Status(405)
	case r.Target[0] == '/':
		return nil
	}
	scheme, rest, ok := strings.Cut(r.Target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return bad("invalid request target")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	if authority == "" || !validHost(authority) {
		return bad("invalid host in the request target")
	}
	r.Authority = authority
	return nil
}

// parseField reads one header line without its line end. drop reports a field
// that the settings say to ignore.
func (h *head) parseField(r *proxy.Request, core *proxy.Core, line []byte) (drop bool, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return false, bad("obsolete line folding")
	}
	colon := 0
	for colon < len(line) && classes[line[colon]]&inName != 0 {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		if colon, drop, err = oddName(line, core); err != nil {
			return false, err
		}
	}
	value := line[colon+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for n := len(value); n > 0 && (value[n-1] == ' ' || value[n-1] == '\t'); n = len(value) {
		value = value[:n-1]
	}
	if !consistsOf(value, inValue, ' ') {
		return false, bad("a control character in a header field")
	}
	if drop {
		return true, nil
	}
	if r.Header.Len() >= core.MaxHeaders {
		return false, &proxy.Fail{Status: proxy.StatusHeaderTooLarge, Level: proxy.LevelInfo, Reason: "client sent too many header lines"}
	}
	name := view(line[:colon])
	id := proxy.FieldIDOf(name)
	r.Header.AddID(id, name, view(value))
	return false, h.note(r, id, view(value))
}

// oddName judges a name of other bytes than letters, digits and hyphens: nginx
// passes it on when ignore_invalid_headers is off, and one with underscores
// when underscores_in_headers is on. White space, control characters and bytes
// above ASCII are refused in any case, as RFC 9112 section 5.1 wants of the
// first; nginx drops the last.
func oddName(line []byte, core *proxy.Core) (colon int, drop bool, err error) {
	for ; colon < len(line) && line[colon] != ':'; colon++ {
		switch c := line[colon]; {
		case classes[c]&inName != 0:
		case c == '_':
			drop = drop || !core.Underscores
		case classes[c]&inOddName == 0:
			return 0, false, bad("white space or a control character in a header name")
		default:
			drop = true
		}
	}
	switch colon {
	case len(line):
		return 0, false, bad("a header line without a colon")
	case 0:
		return 0, false, bad("a header field without a name")
	}
	return colon, drop && core.IgnoreInvalid, nil
}

// note takes what a field says of framing and of the connection.
func (h *head) note(r *proxy.Request, id proxy.FieldID, value string) error {
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
	case proxy.FieldContentLength:
		n, ok := parseLength(value)
		if h.lengths++; h.lengths > 1 || !ok {
			return bad("an invalid or repeated Content-Length")
		}
		h.length = n
	case proxy.FieldTransferEncoding:
		if h.codings++; h.codings > 1 {
			return bad("several Transfer-Encoding fields")
		}
		h.unknown = !strings.EqualFold(value, "chunked")
	case proxy.FieldConnection:
		h.connection(value)
	case proxy.FieldExpect: // a list: what is not understood counts
		if h.expect == "" || !strings.EqualFold(value, continue100) {
			h.expect = value
		}
	}
	return nil
}

func (h *head) connection(value string) {
	for value != "" {
		var option string
		option, value, _ = strings.Cut(value, ",")
		option = strings.Trim(option, " \t")
		switch len(option) {
		case len("close"):
			h.close = h.close || strings.EqualFold(option, "close")
		case len("keep-alive"):
			h.keepAlive = h.keepAlive || strings.EqualFold(option, "keep-alive")
		}
	}
}

// parseLength reads a Content-Length: digits only, of a number that int64 holds.
func parseLength(v string) (int64, bool) {
	var n int64
	for i := range len(v) {
		digit := int64(v[i]) - '0'
		if digit < 0 || digit > 9 || n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, v != ""
}

// finish judges the head as a whole.
func (h *head) finish(r *proxy.Request) error {
	switch {
	case h.codings > 0 && r.Minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request")
	case h.unknown:
		return &proxy.Fail{Status: 501, Level: proxy.LevelInfo, Reason: "client sent an unknown Transfer-Encoding"}
	case h.codings > 0 && h.lengths > 0:
		return bad("both Content-Length and Transfer-Encoding")
	case h.hosts == 0 && r.Minor > 0:
		return bad("an HTTP/1.1 request without a Host field")
	case h.expect != "" && r.Minor > 0 && !strings.EqualFold(h.expect, continue100):
		return proxy.Status(417)
	}
	r.ContentLength, r.Chunked = h.length, false
	if h.codings > 0 {
		r.ContentLength, r.Chunked = -1, true
	}
	return checkTarget(r)
}
