package h1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"alicorn/proxy"
)

// rules are nginx's defaults.
var rules = RequestRules{Line: 8 << 10, Head: 33 << 10, Fields: 1000, IgnoreInvalid: true}

// fieldLines returns the lines of a complete head after the first.
func fieldLines(text []byte) (lines [][]byte) {
	for line := range bytes.Lines(text) {
		lines = append(lines, bytes.TrimRight(line, "\r\n"))
	}
	return lines[1:]
}

// lenient returns why a head that net/http refuses may be read; "" if it may not.
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
		if name, _, _ := bytes.Cut(line, []byte(":")); len(line) > 0 && !proxy.IsToken(name) {
			return "RFC 9110 section 5.1: a field whose name is no token is dropped, as ignore_invalid_headers says"
		}
	}
	return ""
}

// strict has the errors for heads and bodies that net/http reads, and why we are right to
// refuse them. We refuse nothing else that net/http reads.
var strict = map[string]string{
	"blanks between a chunk size and its CRLF": "RFC 9112 section 7.1: they may stand before an extension only",
	"an invalid chunk extension":               "RFC 9112 section 7.1.1: tokens and quoted strings, which have no control characters; and our own bound",
	"trailers of more than 8 KiB":              "our own bound",
	"too many empty lines before a request":    "RFC 9112 section 2.2: one at least is skipped",
	"an invalid request target":                "RFC 9112 section 3.2: only paths and absolute http and https targets; nginx too",
	"an invalid host in the request target":    "RFC 9112 section 3.2.2 and RFC 3986 section 3.2.2",
	"invalid version":                          "RFC 9112 section 2.3: 0.9 has no fields",
	"an HTTP/2 preface to an HTTP/1.1 server":  "RFC 9113 section 3.4",
	"status 505":            "RFC 9110 section 15.6.6",
	"obsolete line folding": "RFC 9112 section 5.2: 400 is one of the two ways",
	"white space or a control character in a header name": "RFC 9112 section 5.1",
	"a control character in a header field":               "RFC 9110 section 5.5",
	"several Host fields":                                 "RFC 9112 section 3.2",
	"an invalid Host field":                               "RFC 9112 section 3.2",
	"several Authorization fields":                        "RFC 9110 section 5.3: it is no list; nginx too",
	"several If-Modified-Since fields":                    "RFC 9110 section 5.3: it is no list; nginx too",
	"several If-Unmodified-Since fields":                  "RFC 9110 section 5.3: it is no list; nginx too",
	"several If-Range fields":                             "RFC 9110 section 5.3: it is no list; nginx too",
	"several If-Match fields":                             "nginx, which takes one line of the list",
	"several If-None-Match fields":                        "nginx, which takes one line of the list",
	"an HTTP/1.1 request without a Host field":            "RFC 9112 section 3.2",
	"an invalid or repeated Content-Length":               "RFC 9112 section 6.3: repeated ones may be refused though they agree",
	"both Content-Length and Transfer-Encoding":           "RFC 9112 section 6.1: may be refused",
	"Transfer-Encoding in an HTTP/1.0 request":            "RFC 9112 section 6.1: the framing is faulty",
	"several Transfer-Encoding fields":                    "RFC 9112 section 6.1: net/http ignores them in 1.0, where they are a fault",
	"an invalid trailer field":                            "RFC 9112 sections 7.1 and 7.1.2: fields, each ended by CRLF; net/http takes a bare LF, and names with spaces",
	"a bare CR in the trailers":                           "RFC 9112 section 2.2",
	"status 417":                                          "RFC 9110 section 10.1.1",
	"status 405":                                          "RFC 9110 sections 9.3.6 and 9.3.8: no proxy, and no echo of credentials",
}

// reason returns the text of err; "" for nil.
func reason(err error) string {
	var wrong *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &wrong) && wrong.What == "":
		return fmt.Sprint("status ", wrong.Status)
	}
	return err.Error()
}

// framings has fields that give the length of a body, or seem to.
var framings = []string{"", "Content-Length: 3\r\n", "Content-Length: 03\r\n", "Content-Length: 3, 3\r\n", "Content-Length:\t3\r\n", "Content-Length: +3\r\n",
	"Content-Length:\r\n", "Content-Length: 3\r\r\n", "Content-Length:\r\n 3\r\n", "Content-Length : 3\r\n", "Content-Length: 9223372036854775808\r\n", "content_length: 3\r\n",
	"Transfer-Encoding: chunked\r\n", "transfer-encoding: CHUNKED\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding: identity\r\n",
	"Transfer-Encoding:\r\n", "Transfer-Encoding:\r\n chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\x00: chunked\r\n",
	"X: y\rTransfer-Encoding: chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\x00\r\n", "TE: chunked\r\n"}

// FuzzRequestHead checks that net/http reads a head as we do. Heads that only one of the
// two reads are in strict or lenient.
func FuzzRequestHead(f *testing.F) {
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
		for _, one := range framings {
			for _, other := range framings {
				f.Add([]byte("POST / HTTP/" + version + "\r\nHost: a\r\n" + one + other + "\r\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r proxy.Request
		var h RequestHead
		n, err := h.Feed(&r, data, &rules)
		if n == 0 || h.Simple {
			return // incomplete, or RFC 1945 section 4.1, which net/http does not know
		}
		data = data[h.Skipped:n]
		other, otherErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		switch {
		case err != nil && otherErr != nil:
		case err != nil:
			if strict[reason(err)] == "" {
				t.Fatalf("got %q, want the head that net/http reads", reason(err))
			}
		case otherErr != nil:
			if lenient(&r, fieldLines(data)) == "" {
				t.Fatalf("got %q read, want an error as from net/http: %v", r.Line, otherErr)
			}
		default:
			compare(t, &r, &h, other)
		}
	})
}

// compare compares a head with what net/http has read.
func compare(t *testing.T, r *proxy.Request, h *RequestHead, other *http.Request) {
	t.Helper()
	if r.Method != other.Method || r.Target != other.RequestURI || r.Authority != other.Host || r.Proto != other.Proto {
		t.Fatalf("got %q %q %q %q, want %q %q %q %q", r.Method, r.Target, r.Authority, r.Proto, other.Method, other.RequestURI, other.Host, other.Proto)
	}
	if r.ContentLength != other.ContentLength || r.Chunked != (len(other.TransferEncoding) > 0) {
		t.Fatalf("got length %d, chunked %v, want %d, %v", r.ContentLength, r.Chunked, other.ContentLength, other.TransferEncoding)
	}
	if r.Minor > 0 && h.KeepAlive == other.Close {
		t.Fatalf("got keep-alive %v, want %v", h.KeepAlive, !other.Close)
	}
	ours := http.Header{}
	for f := range r.Header.All() {
		ours.Add(f.Name, f.Value)
	}
	sameFields(t, ours, other.Header)
}

// sameFields compares the fields that were read. net/http removes some of them, and adds a
// Cache-Control for a Pragma.
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
			t.Fatalf("%s: got %q, want %q", name, ours[name], values)
		}
		delete(ours, name)
	}
	if len(ours) > 0 {
		t.Fatalf("got fields that net/http has not: %v, want none", ours)
	}
}
