package http1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"alicorn/proxy"
)

// cutHead returns the lines of the head that text begins with, without their
// ends, and its length; ok is false when its empty line is not there.
func cutHead(text []byte) (lines [][]byte, length int, ok bool) {
	for line := range bytes.Lines(text) {
		if length += len(line); line[len(line)-1] != '\n' {
			return nil, 0, false
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if len(line) == 0 {
			return lines, length, len(lines) > 0
		}
		lines = append(lines, line)
	}
	return nil, 0, false
}

// parseLines reads a whole head as a connection does.
func parseLines(r *proxy.Request, h *head, core *proxy.Core, lines [][]byte) (simple bool, err error) {
	if bytes.IndexByte(lines[0], '\r') >= 0 {
		return false, bad("a bare CR in the request line")
	}
	if simple, err = parseLine(r, lines[0]); simple || err != nil {
		return simple, err
	}
	for _, line := range lines[1:] {
		if _, err := h.parseField(r, core, line); err != nil {
			return false, err
		}
	}
	return false, h.finish(r)
}

// lenient says why a head that net/http refuses may be read; "" when it may not.
func lenient(r *proxy.Request, fields [][]byte) string {
	path := r.Target
	if r.Target[0] != '/' {
		if strings.ContainsAny(r.Authority, "%") {
			return "RFC 3986 section 3.2.2: a registered name may hold escapes"
		}
		_, path, _ = strings.Cut(path, "://")
		path = "/" + strings.TrimPrefix(path[len(r.Authority):], "/")
	}
	path, _, query := strings.Cut(path, "?")
	before, _, fragment := strings.Cut(path, "#")
	if _, ok := proxy.NormalizePath(before, true); !ok {
		return "RFC 3986 section 2.1: the Engine judges the path, and answers 400"
	}
	if fragment && !query {
		return "RFC 9112 section 3.2: a fragment does not belong there and is cut off, as nginx does"
	}
	if r.Header.Get("Trailer") != "" {
		return "RFC 9110 section 6.6.2: trailers are dropped, whatever Trailer names"
	}
	for _, line := range fields {
		if name, _, _ := bytes.Cut(line, []byte(":")); !isToken(name) {
			return "RFC 9110 section 5.1: a field whose name is no token is dropped, as ignore_invalid_headers says"
		}
	}
	return ""
}

// strict has what we refuse although net/http reads it, by our reason, and why
// that is right. Nothing else may be refused that net/http reads.
var strict = map[string]string{
	"client sent blanks between a chunk size and its CRLF":            "RFC 9112 section 7.1: they may stand before an extension only",
	"client sent invalid request target":                              "RFC 9112 section 3.2: only paths and absolute http and https targets; nginx too",
	"client sent invalid host in the request target":                  "RFC 9112 section 3.2.2 and RFC 3986 section 3.2.2",
	"client sent invalid version":                                     "RFC 9112 section 2.3: 0.9 has no fields",
	"client sent an HTTP/2 preface to an HTTP/1.1 server":             "RFC 9113 section 3.4",
	"505 HTTP Version Not Supported":                                  "RFC 9110 section 15.6.6",
	"client sent obsolete line folding":                               "RFC 9112 section 5.2: 400 is one of the two ways",
	"client sent white space or a control character in a header name": "RFC 9112 section 5.1",
	"client sent a control character in a header field":               "RFC 9110 section 5.5",
	"client sent several Host fields":                                 "RFC 9112 section 3.2",
	"client sent an invalid Host field":                               "RFC 9112 section 3.2",
	"client sent an HTTP/1.1 request without a Host field":            "RFC 9112 section 3.2",
	"client sent an invalid or repeated Content-Length":               "RFC 9112 section 6.3: repeated ones may be refused though they agree",
	"client sent both Content-Length and Transfer-Encoding":           "RFC 9112 section 6.1: may be refused",
	"client sent Transfer-Encoding in an HTTP/1.0 request":            "RFC 9112 section 6.1: the framing is faulty",
	"client sent several Transfer-Encoding fields":                    "RFC 9112 section 6.1: net/http ignores them in 1.0, where they are a fault",
	"client sent an invalid trailer field":                            "RFC 9112 sections 7.1 and 7.1.2: fields, each ended by CRLF; net/http takes a bare LF, and names with spaces",
	"client sent a bare CR in the trailers":                           "RFC 9112 section 2.2",
	"417 Expectation Failed":                                          "RFC 9110 section 10.1.1",
	"405 Not Allowed":                                                 "RFC 9110 sections 9.3.6 and 9.3.8: no proxy, and no echo of credentials",
}

// reason is what err says, without the client's name.
func reason(err error) string {
	var fail *proxy.Fail
	if errors.As(err, &fail) {
		return fail.Reason
	}
	return err.Error()
}

// framing has fields that say, or seem to say, how long a body is.
var framing = []string{"", "Content-Length: 3\r\n", "Content-Length: 03\r\n", "Content-Length: 3, 3\r\n", "Content-Length:\t3\r\n", "Content-Length: +3\r\n",
	"Content-Length:\r\n", "Content-Length: 3\r\r\n", "Content-Length:\r\n 3\r\n", "Content-Length : 3\r\n", "Content-Length: 9223372036854775808\r\n", "content_length: 3\r\n",
	"Transfer-Encoding: chunked\r\n", "transfer-encoding: CHUNKED\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: identity\r\n",
	"Transfer-Encoding:\r\n", "Transfer-Encoding:\r\n chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\x00: chunked\r\n",
	"X: y\rTransfer-Encoding: chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\x00\r\n", "TE: chunked\r\n"}

// FuzzHead: what we read, net/http reads the same; what only one of the two
// reads is in a list.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /p?q#f HTTP/1.0\nCookie: a\nCookie: b\n\n",
		"POST /a/../b%41 HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 003\r\nX:\t y \r\n\r\n",
		"PUT http://u.example:81?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nConnection: close, x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a%zz\r\nA_b: c\r\nPragma: no-cache\r\nTrailer: Host\r\nExpect: 100-continue\r\n\r\n",
		"GET /nine\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET http://a%41/%zz HTTP/1.1\r\nHost: a\r\nX@Y: 1\r\nX.Y: 2\r\nCache-Control: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\nExpect: x\r\n\r\n",
		plainHead, browserHead,
	} {
		f.Add([]byte(seed))
	}
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		for _, one := range framing {
			for _, other := range framing {
				f.Add([]byte("POST / HTTP/" + version + "\r\nHost: a\r\n" + one + other + "\r\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, length, ok := cutHead(data)
		if !ok {
			return
		}
		var r proxy.Request
		h := &head{}
		simple, err := parseLines(&r, h, &proxy.Core{IgnoreInvalid: true, MaxHeaders: 1000}, lines)
		if simple {
			return // RFC 1945 section 4.1: net/http does not know it
		}
		other, otherErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(data[:length])))
		switch {
		case err != nil && otherErr != nil:
		case err != nil:
			if strict[reason(err)] == "" {
				t.Fatalf("we refuse what net/http reads: %s", reason(err))
			}
		case otherErr != nil:
			if lenient(&r, lines[1:]) == "" {
				t.Fatalf("net/http refuses what we read: %v", otherErr)
			}
		default:
			compare(t, &r, h, other)
		}
	})
}

func compare(t *testing.T, r *proxy.Request, h *head, other *http.Request) {
	t.Helper()
	if r.Method != other.Method || r.Target != other.RequestURI || r.Authority != other.Host || r.Proto != other.Proto {
		t.Fatalf("%q %q %q %q, net/http %q %q %q %q", r.Method, r.Target, r.Authority, r.Proto, other.Method, other.RequestURI, other.Host, other.Proto)
	}
	if r.ContentLength != other.ContentLength || r.Chunked != (len(other.TransferEncoding) > 0) {
		t.Fatalf("length %d chunked %v, net/http %d %v", r.ContentLength, r.Chunked, other.ContentLength, other.TransferEncoding)
	}
	if r.Minor > 0 && h.close != other.Close {
		t.Fatalf("close %v, net/http %v", h.close, other.Close)
	}
	ours := http.Header{}
	for f := range r.Header.All() {
		ours.Add(f.Name, f.Value)
	}
	sameFields(t, ours, other.Header)
}

// sameFields compares what fields were read. net/http takes some out, and adds
// a Cache-Control for a Pragma.
func sameFields(t *testing.T, ours, other http.Header) {
	t.Helper()
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		ours.Del(name)
		other.Del(name)
	}
	if ours.Get("Pragma") != "" && ours.Get("Cache-Control") == "" {
		other.Del("Cache-Control")
	}
	for name, values := range other {
		if !slices.Equal(values, ours[name]) && !slices.ContainsFunc([]byte(name), func(c byte) bool { return classes[c]&inName == 0 }) {
			t.Fatalf("%s: %q, net/http %q", name, ours[name], values)
		}
		delete(ours, name)
	}
	if len(ours) > 0 {
		t.Fatalf("net/http has no %v", ours)
	}
}
