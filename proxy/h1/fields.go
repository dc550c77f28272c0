package h1

import (
	"math"
	"strings"

	"alicorn/proxy"
)

// framing has what the fields of a head say about the end of its body and about the
// connection.
type framing struct {
	lengths, codings int   // how many Content-Length and Transfer-Encoding lines have come
	length           int64 // the value of Content-Length
	unknown          bool  // Transfer-Encoding is something else than chunked
	close, keepAlive bool  // the options of Connection
}

// note records a field that concerns the framing or the connection.
func (f *framing) note(id proxy.FieldID, value string) error {
	switch id {
	case proxy.FieldContentLength:
		n, ok := parseLength(value)
		if f.lengths++; f.lengths > 1 || !ok {
			return bad("an invalid or repeated Content-Length")
		}
		f.length = n
	case proxy.FieldTransferEncoding:
		if f.codings++; f.codings > 1 {
			return bad("several Transfer-Encoding fields")
		}
		f.unknown = !strings.EqualFold(value, "chunked")
	case proxy.FieldConnection:
		f.connection(value)
	}
	return nil
}

// connection records the options of a Connection field.
func (f *framing) connection(value string) {
	for value != "" {
		var option string
		option, value, _ = strings.Cut(value, ",")
		option = strings.Trim(option, " \t")
		switch len(option) {
		case len("close"):
			f.close = f.close || strings.EqualFold(option, "close")
		case len("keep-alive"):
			f.keepAlive = f.keepAlive || strings.EqualFold(option, "keep-alive")
		}
	}
}

// parseLength reads a Content-Length: only digits, and at most the largest int64.
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

// persists reports whether the connection may carry another message after one of
// HTTP/1.minor: RFC 9112 section 9.3.
func (f *framing) persists(minor uint8) bool { return !f.close && (minor > 0 || f.keepAlive) }

// cutField cuts a header line without its end into name and value. plain reports whether
// the name has only letters, digits and hyphens. A name with white space (RFC 9112 section
// 5.1), a control character or a byte above ASCII is an error.
func cutField(line []byte) (name, value []byte, plain bool, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, false, bad("obsolete line folding")
	}
	colon := 0
	for colon < len(line) && classes[line[colon]]&inName != 0 {
		colon++
	}
	if plain = colon > 0 && colon < len(line) && line[colon] == ':'; !plain {
		if colon, err = oddName(line); err != nil {
			return nil, nil, false, err
		}
	}
	value = trimBlanks(line[colon+1:])
	if !consistsOf(value, inValue, ' ') {
		return nil, nil, false, bad("a control character in a header field")
	}
	return line[:colon], value, plain, nil
}

// oddName returns the length of the name at the start of line, which must be visible
// ASCII.
func oddName(line []byte) (colon int, err error) {
	for ; colon < len(line) && line[colon] != ':'; colon++ {
		if classes[line[colon]]&inOddName == 0 {
			return 0, bad("white space or a control character in a header name")
		}
	}
	switch colon {
	case len(line):
		return 0, bad("a header line without a colon")
	case 0:
		return 0, bad("a header field without a name")
	}
	return colon, nil
}

func trimBlanks(value []byte) []byte {
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for n := len(value); n > 0 && (value[n-1] == ' ' || value[n-1] == '\t'); n = len(value) {
		value = value[:n-1]
	}
	return value
}
