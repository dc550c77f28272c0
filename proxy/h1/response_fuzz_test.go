package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// strictResponses has the errors for heads of responses that net/http reads, and why we are
// right to refuse them.
var strictResponses = map[string]string{
	badStatusLine:                            "RFC 9112 section 4: one space, three digits, and a version of HTTP/1",
	"an invalid status":                      "RFC 9110 section 15: no status is below 100",
	"a control character in the status line": "RFC 9112 section 4",
	tooBigHeader:                             "our own bound",
	"too many header lines":                  "our own bound",
	"obsolete line folding":                  "RFC 9112 section 5.2: a gateway may answer 502",
	"white space or a control character in a header name": "RFC 9112 section 5.1",
	"a control character in a header field":               "RFC 9110 section 5.5",
	"an invalid or repeated Content-Length":               "RFC 9112 section 6.3: net/http ignores them where no body follows, and beside a coding",
	"both Content-Length and Transfer-Encoding":           "RFC 9112 section 6.1: ought to be handled as an error",
	"several Transfer-Encoding fields":                    "RFC 9112 section 6.1: net/http ignores codings where no body follows, and in 1.0",
	"an unknown Transfer-Encoding":                        "RFC 9112 section 6.1: net/http ignores codings where no body follows, and in 1.0",
	"Transfer-Encoding in an HTTP/1.0 response":           "RFC 9112 section 6.1: the framing is faulty",
	"an interim response with a body":                     "RFC 9112 section 6.1",
}

// lenientResponse returns why a response whose head net/http refuses may be read; "" if it
// may not.
func lenientResponse(a answer) string {
	switch {
	case len(a.head.Ignored) > 0:
		return "RFC 9110 section 5.1: a field whose name is no token is dropped"
	case a.head.Header.Get("Trailer") != "":
		return "RFC 9110 section 6.6.2: trailers are dropped, whatever Trailer names"
	}
	return ""
}

// FuzzResponse checks that net/http reads a response as we do, whole or in pieces.
// Responses that only one of the two reads are in strictResponses or lenientResponse.
func FuzzResponse(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, seed := range []string{
		"", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \n\nbody", "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
		ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", ok + "X(y): 1\r\nX_y: 2\r\nX.y: 3\r\n\r\n", ok + "X : y\r\n\r\n", ok + "X: a\r\n b\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" + ok + "\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\nx", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n", ok + "Connection: close, x\r\nPragma: no-cache\r\n\r\nabc",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	for _, status := range []string{"1.0 200", "1.1 200", "1.1 204", "1.1 103"} {
		for _, one := range framings {
			for _, other := range framings {
				f.Add([]byte("HTTP/"+status+" X\r\n"+one+other+"\r\n3\r\nabc\r\n0\r\n\r\n"), false)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		a := inPieces(t, data, func(r *reader) answer { return r.response(method) })
		if a.refusal == "incomplete" {
			return
		}
		other, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), &http.Request{Method: method})
		switch {
		case err != nil && a.refusal != "":
		case err != nil:
			if lenientResponse(a) == "" {
				t.Fatalf("got %v, want an error as from net/http: %v", a, err)
			}
		case a.refusal != "":
			if strictResponses[a.refusal] == "" {
				t.Fatalf("got %q, want the head that net/http reads", a.refusal)
			}
		default:
			compareResponse(t, a, other)
		}
	})
}

// compareResponse compares a response with what net/http has read.
func compareResponse(t *testing.T, a answer, other *http.Response) {
	t.Helper()
	h := &a.head
	if h.Status != other.StatusCode || int(h.Minor) != other.ProtoMinor || h.Reason != strings.TrimPrefix(other.Status[3:], " ") {
		t.Fatalf("got %v, want %s %s", a, other.Proto, other.Status)
	}
	ours := http.Header{}
	for f := range h.Header.All() {
		ours.Add(f.Name, f.Value)
	}
	for _, name := range []string{"Content-Length", "Connection"} { // net/http joins equal lengths, and removes close
		ours.Del(name)
		other.Header.Del(name)
	}
	sameFields(t, ours, other.Header)
	if h.KeepAlive && other.Close {
		t.Fatalf("got %v, want the connection closed as by net/http", a)
	}
	body, err := io.ReadAll(other.Body)
	switch {
	case a.fault == "" && err != nil:
		if lenientBodies[err.Error()] == "" {
			t.Fatalf("got the body %q, want an error as from net/http: %v", a.body, err)
		}
	case a.fault != "" && err == nil:
		if strict[a.fault] == "" {
			t.Fatalf("got %q, want the body %q", a.fault, body)
		}
	case a.fault == "" && a.body != string(body):
		t.Fatalf("got the body %q, want %q", a.body, body)
	}
}
