package http1

import (
	"bytes"
	"net/netip"
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

// tokenByte marks the bytes of a token, RFC 9110 section 5.6.2.
var tokenByte = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			c > 0 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// nameByte marks the bytes that nginx takes in a field name; underscores are
// judged apart.
var nameByte = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-'
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

// isName is isToken for text.
func isName(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// head is what the fields of one request say of its framing.
type head struct {
	hosts, lengths, codings int
	length                  int64
	expect                  string
	close, keepAlive        bool
}

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
		r.Target, r.Proto, r.Minor, r.Major = view(rest), "HTTP/0.9", 9, 0
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
	case r.Method == "PRI" && r.Major == 2:
		return bad("an HTTP/2 preface to an HTTP/1.1 server")
	case r.Major > 1:
		return proxy.Status(505)
	case r.Major == 0:
		return bad("invalid version")
	}
	return nil
}

func validTarget(t []byte) bool {
	for _, c := range t {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(t) > 0
}

// checkTarget judges the form of the target for its method (RFC 9112 section
// 3.2) and takes the authority of the absolute form, which overrides Host.
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
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if authority == "" || !validHost(authority) {
		return bad("invalid host in the request target")
	}
	r.Authority = authority
	return nil
}

// validHost checks uri-host [":" port], RFC 3986 section 3.2.2.
func validHost(h string) bool {
	if strings.HasPrefix(h, "[") {
		end := strings.IndexByte(h, ']')
		if end < 2 || !validLiteral(h[1:end]) {
			return false
		}
		return end == len(h)-1 || h[end+1] == ':' && validPort(h[end+2:])
	}
	name, port, found := strings.Cut(h, ":")
	if found && !validPort(port) || name == "" {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '.' && i+1 < len(name) && name[i+1] == '.':
			return false // as nginx: no two dots in a row
		case c == '%' && (i+2 >= len(name) || hexValue(name[i+1]) < 0 || hexValue(name[i+2]) < 0):
			return false
		case !nameByte[c] && strings.IndexByte("._~%!$&'()*+,;=", c) < 0:
			return false
		}
	}
	return name != "."
}

// validLiteral checks what stands in brackets: an IPv6 address without a zone,
// or the form that RFC 3986 keeps for later ones ("v1.x").
func validLiteral(s string) bool {
	if s[0] == 'v' || s[0] == 'V' {
		version, rest, _ := strings.Cut(s[1:], ".")
		return version != "" && rest != "" && strings.Trim(version, "0123456789abcdefABCDEF") == "" &&
			strings.IndexFunc(rest, func(c rune) bool { return c >= 0x80 || !nameByte[c] && !strings.ContainsRune("._~!$&'()*+,;=:", c) }) < 0
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// validPort takes an empty port, as RFC 3986 does, and numbers up to 65535.
func validPort(p string) bool {
	n := 0
	for i := range len(p) {
		if n = n*10 + int(p[i]-'0'); p[i] < '0' || p[i] > '9' || n > 65535 {
			return false
		}
	}
	return true
}

// parseField reads one header line without its line end. drop reports a field
// that the settings say to ignore.
func (h *head) parseField(r *proxy.Request, core *proxy.Core, line []byte) (drop bool, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return false, bad("obsolete line folding")
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return false, bad("a header line without a colon")
	}
	name := line[:colon]
	if drop, err = checkName(name, core); err != nil {
		return false, err
	}
	value := bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false, bad("a control character in a header field")
		}
	}
	if drop {
		return true, nil
	}
	id := proxy.FieldIDOf(view(name))
	r.Header.AddID(id, view(name), view(value))
	return false, h.note(r, id, view(value))
}

func checkName(name []byte, core *proxy.Core) (drop bool, err error) {
	if len(name) == 0 {
		return false, bad("a header field without a name")
	}
	for _, c := range name {
		switch {
		case nameByte[c]:
		case c == '_':
			drop = drop || !core.Underscores
		case c <= ' ' || c >= 0x7f:
			return false, bad("white space or a control character in a header name")
		default:
			drop = true
		}
	}
	if drop && !core.IgnoreInvalid {
		return false, bad("an invalid header name")
	}
	return drop, nil
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
		if h.codings++; h.codings > 1 || !strings.EqualFold(value, "chunked") {
			return &proxy.Fail{Status: 501, Level: proxy.LevelInfo, Reason: "client sent an unknown Transfer-Encoding"}
		}
	case proxy.FieldConnection:
		h.connection(value)
	case proxy.FieldExpect:
		h.expect = value
	}
	return nil
}

func (h *head) connection(value string) {
	for value != "" {
		var option string
		option, value, _ = strings.Cut(value, ",")
		option = strings.Trim(option, " \t")
		h.close = h.close || strings.EqualFold(option, "close")
		h.keepAlive = h.keepAlive || strings.EqualFold(option, "keep-alive")
	}
}

func parseLength(v string) (int64, bool) {
	if v == "" || len(v) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(v[i]-'0')
	}
	return n, true
}

// finish judges the head as a whole.
func (h *head) finish(r *proxy.Request) error {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return bad("both Content-Length and Transfer-Encoding")
	case h.codings > 0 && r.Minor == 0:
		return bad("Transfer-Encoding in an HTTP/1.0 request")
	case h.hosts == 0 && r.Minor > 0:
		return bad("an HTTP/1.1 request without a Host field")
	case h.expect != "" && r.Minor > 0 && !strings.EqualFold(h.expect, "100-continue"):
		return proxy.Status(417)
	}
	r.ContentLength, r.Chunked = h.length, false
	if h.codings > 0 {
		r.ContentLength, r.Chunked = -1, true
	}
	return checkTarget(r)
}
