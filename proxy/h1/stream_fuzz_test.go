package h1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"alicorn/proxy"
)

// seen is a request as it was read.
type seen struct {
	method, target, host, proto string
	header                      http.Header
	body                        string
	fault                       string // what is wrong with the body; "" if it was read
}

// reader reads the messages of one connection. Their bytes come in pieces.
type reader struct {
	data  []byte
	at    int        // how many bytes were read
	had   int        // how many bytes have come
	piece func() int // returns the size of the next piece
}

// more lets the next piece come. It returns false at the end.
func (r *reader) more() bool {
	if r.had == len(r.data) {
		return false
	}
	r.had = min(r.had+r.piece(), len(r.data))
	return true
}

// requests reads until the connection ends. It returns the requests, and why the bytes after
// them were refused; "" if none were.
func (r *reader) requests() (all []seen, refusal string) {
	for {
		var q proxy.Request
		var h RequestHead
		n, err := h.Feed(&q, r.data[r.at:r.had], &rules)
		for n == 0 && err == nil {
			if !r.more() {
				if h.Begun() {
					return all, "an incomplete request"
				}
				return all, ""
			}
			n, err = h.Feed(&q, r.data[r.at:r.had], &rules)
		}
		if r.at += n; err != nil {
			return all, reason(err)
		}
		s := seen{method: q.Method, target: q.Target, host: q.Authority, proto: q.Proto, header: http.Header{}}
		for f := range q.Header.All() {
			s.header.Add(f.Name, f.Value)
		}
		b := NewBody(q.ContentLength, q.Chunked)
		var wrong error
		s.body, wrong = r.body(&b)
		s.fault = reason(wrong)
		if all = append(all, s); s.fault != "" || !h.KeepAlive {
			return all, s.fault
		}
	}
}

// body reads a body to its end.
func (r *reader) body(b *Body) (text string, err error) {
	var data []byte
	for !b.Ended() {
		if r.at == r.had && !r.more() {
			err := b.EOF()
			return string(data), err
		}
		if b.Left() == 0 {
			n, err := b.Frame(r.data[r.at:r.had])
			if r.at += n; err != nil {
				return string(data), err
			}
			continue
		}
		n := min(b.Left(), int64(r.had-r.at))
		data = append(data, r.data[r.at:r.at+int(n)]...)
		b.Take(n)
		r.at += int(n)
	}
	return string(data), nil
}

// inPieces calls read for data that comes whole, byte by byte, and in random pieces. It
// returns the first result, and fails if another differs.
func inPieces[T any](t *testing.T, data []byte, read func(*reader) T) T {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(len(data)), 1))
	whole := read(&reader{data: data, piece: func() int { return len(data) }})
	for _, way := range []struct {
		name  string
		piece func() int
	}{
		{"byte by byte", func() int { return 1 }},
		{"in small pieces", func() int { return 1 + random.IntN(4) }},
		{"in pieces", func() int { return 1 + random.IntN(40) }},
		{"in large pieces", func() int { return 1 + random.IntN(len(data)+1) }},
	} {
		if got := read(&reader{data: data, piece: way.piece}); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", whole) {
			t.Fatalf("%q %s:\ngot  %+v\nwant %+v", data, way.name, got, whole)
		}
	}
	return whole
}

// readOther reads data with net/http, until it ends or is refused.
func readOther(data []byte) (all []seen, refusal error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		skipEmptyLines(r)
		q, err := http.ReadRequest(r)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		body, err := io.ReadAll(q.Body)
		all = append(all, seen{q.Method, q.RequestURI, q.Host, q.Proto, q.Header, string(body), reason(err)})
		if err != nil || q.Close {
			return all, err
		}
	}
}

// skipEmptyLines skips empty lines before a request (RFC 9112 section 2.2).
func skipEmptyLines(r *bufio.Reader) {
	for {
		switch b, _ := r.Peek(2); {
		case len(b) > 0 && b[0] == '\n':
			r.Discard(1)
		case string(b) == "\r\n":
			r.Discard(2)
		default:
			return
		}
	}
}

// FuzzRequests checks that net/http reads the requests of a connection, with their bodies, as
// we do, whole or in pieces. What only one of the two reads is in strict, lenient or
// lenientBodies.
func FuzzRequests(f *testing.F) {
	const h = "Host: a\r\n"
	const after = "GET /2 HTTP/1.1\r\n" + h + "\r\n"
	const te = "POST /c HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n"
	for _, seed := range []string{
		"GET / HTTP/1.1\r\n" + h + "\r\nGET /2 HTTP/1.1\r\n" + h + "\r\n",
		"POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + h + "\r\n",
		te + "3\r\nabc\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" + h + "\r\n",
		te + "3;x=\"y\"\r\nabc\r\n2 ;z\r\nde\r\n0;e\r\nX: y\r\nZ: \r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
		te + "A\r\n0123456789\r\n00\r\n\r\n", te + "3\nabc\r\n0\r\n\r\n", te + "3\r\nabc\n0\r\n\r\n", te + "0\r\nX\r\n\r\n", te + "0\r\n\n", te + "-1\r\n", te + "0x1\r\na\r\n",
		te + "1\r\nab\r\n0\r\n\r\n", te + "8000000000000000\r\n", te + "1;\na\r\n0\r\n\r\n", te + "0\r\nContent-Length: 3\r\n\r\n", te + "0\r\n X: y\r\n\r\n", te + "0\r\nX: \r y\r\n\r\n",
		"POST / HTTP/1.1\r\n" + h + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\n" + h + "Content-Length: 5\r\nConnection: close\r\n\r\nabc", "\r\n\nGET /\r\n\r\n", "GET / HTTP/1.1\r\n" + h, "HEAD / HTTP/1.1\r\n" + h + "Content-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n" + h + "\r\n",
	} {
		f.Add([]byte(seed))
	}
	for _, size := range []string{"3", "03", "3;a", "3;a=\"b;c\"", "3 ;a", "3\t;a", "3 ", "3;", "+3", "0x3", "3\r", "3;\r", "3,3", "3 3"} {
		for _, end := range []string{"\r\n", "\n", "\r", "", "\n\r", "\r\r\n"} {
			f.Add([]byte(te + size + "\r\nabc" + end + "0\r\n\r\n" + after))
			f.Add([]byte(te + size + end + "abc\r\n0\r\n\r\n" + after))
			f.Add([]byte(te + "3\r\nabc\r\n" + strings.Replace(size, "3", "0", 1) + end + "\r\n" + after))
		}
	}
	for _, trailer := range []string{"X: y", "X:", "X", ": y", "X : y", " X: y", "X: \x00", "X: \xff", "X: y\r", "X\x7f: y", "X(: y", "X@Y: z", "Content-Length: 9", "Transfer-Encoding: chunked", "Host: b"} {
		for _, end := range []string{"\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n", "\r\n"} {
			f.Add([]byte(te + "0\r\n" + trailer + end + after))
			f.Add([]byte(te + "0\r\nA: b\r\n" + trailer + end + after))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		type result struct {
			requests []seen
			refusal  string
			at       int
		}
		r := inPieces(t, data, func(r *reader) result {
			all, refusal := r.requests()
			return result{all, refusal, r.at}
		})
		ours, refusal := r.requests, r.refusal
		others, otherRefusal := readOther(data)
		for i := range ours {
			if i == len(others) {
				if ours[i].proto != "HTTP/0.9" && lenientOf(ours[i], data) == "" {
					t.Fatalf("request %d: got %+v, want an error as from net/http: %v", i, ours[i], otherRefusal)
				}
				return
			}
			if !sameRequest(t, ours[i], others[i], refusal) {
				return
			}
		}
		if len(others) > len(ours) && strict[refusal] == "" && others[len(ours)].fault == "" {
			t.Fatalf("request %d: got %q, want %+v", len(ours), refusal, others[len(ours)])
		}
	})
}

// lenientBodies has the errors of net/http for bodies that we read, and why we may read
// them.
var lenientBodies = map[string]string{
	"invalid byte in chunk length": "RFC 9112 section 7.1.1: white space may stand before an extension",
}

// sameRequest compares one request. It returns false if we or net/http have refused the
// body, which ends the connection.
func sameRequest(t *testing.T, ours, other seen, refusal string) bool {
	t.Helper()
	if ours.method != other.method || ours.target != other.target || ours.host != other.host || ours.proto != other.proto {
		t.Fatalf("got %+v, want %+v", ours, other)
	}
	sameFields(t, ours.header, other.header)
	switch {
	case ours.fault != "" && other.fault != "":
		return false
	case ours.fault != "":
		if strict[refusal] == "" {
			t.Fatalf("got %q, then %q, want the body %q", ours.fault, refusal, other.body)
		}
		return false
	case other.fault != "" && lenientBodies[other.fault] != "":
		return false
	case other.fault != "":
		t.Fatalf("got the body %q, want an error as from net/http: %s", ours.body, other.fault)
	}
	if ours.body != other.body {
		t.Fatalf("got the body %q, want %q", ours.body, other.body)
	}
	return true
}

// lenientOf is lenient for a request in data.
func lenientOf(s seen, data []byte) string {
	r := &proxy.Request{Target: s.target, Authority: s.host}
	for name, values := range s.header {
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	var fields [][]byte
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && !bytes.Contains(line, []byte(" HTTP/")) {
			fields = append(fields, line)
		}
	}
	return lenient(r, fields)
}
