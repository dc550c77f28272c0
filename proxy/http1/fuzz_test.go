package http1

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
)

// script is a connection that only gives bytes, a few at a time.
type script struct {
	net.Conn
	rest []byte
	step int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p, s.rest[:min(s.step, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *script) SetReadDeadline(time.Time) error { return nil }

// readScript reads one head from data.
func readScript(data []byte, step int) (*conn, *head, error) {
	c := &conn{nc: &script{rest: data, step: step}, info: &proxy.Conn{}, core: &proxy.Core{
		HeaderBufferSize: 1 << 10, LargeBuffers: 4, LargeBufferSize: 8 << 10, IgnoreInvalid: true, HeaderTimeout: time.Minute,
	}}
	c.x = proxy.NewExchange(c.info, c)
	c.beginExchange()
	c.takeRead()
	h := &head{}
	return c, h, c.readHead(c.x, h)
}

// exception says why a head that net/http refuses may be read; "" when it may not.
func exception(r *proxy.Request, text []byte) string {
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
	for line := range bytes.Lines(text) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if len(bytes.TrimSpace(line)) > 0 && !bytes.Contains(line, []byte(" HTTP/")) && !isToken(name) {
			return "RFC 9110 section 5.1: a field whose name is no token is dropped, as ignore_invalid_headers says"
		}
	}
	return ""
}

// FuzzHead: what we read, net/http reads the same; a head that only we read is
// in the list of exceptions. In which pieces the bytes come makes no difference.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\n\nGET /p?q#f HTTP/1.0\nCookie: a\nCookie: b\n\n",
		"POST /a/../b%41 HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 003\r\nX:\t y \r\n\r\nabc",
		"PUT http://u.example:81?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nConnection: close, x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a%zz\r\nA_b: c\r\nPragma: no-cache\r\nTrailer: Host\r\nExpect: 100-continue\r\n\r\n",
		"GET /nine\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", "\x16\x03\x01",
		"GET http://a%41/%zz HTTP/1.1\r\nHost: a\r\nX@Y: 1\r\nX.Y: 2\r\nCache-Control: x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, h, err := readScript(data, len(data)+1)
		piecewise, _, err2 := readScript(data, 3)
		if (err == nil) != (err2 == nil) || err != nil && err != errSilent && err2 != errSilent && err.Error() != err2.Error() {
			t.Fatalf("at once %v, in pieces %v", err, err2)
		}
		if err != nil || c.simple {
			return
		}
		r := &c.x.Req
		if r.Line != piecewise.x.Req.Line || r.Header.Len() != piecewise.x.Req.Header.Len() || c.bytesRead != piecewise.bytesRead {
			t.Fatalf("at once %q, %d fields, %d bytes; in pieces %q, %d, %d", r.Line, r.Header.Len(), c.bytesRead,
				piecewise.x.Req.Line, piecewise.x.Req.Header.Len(), piecewise.bytesRead)
		}
		text := bytes.TrimLeft(data, "\r\n") // RFC 9112 section 2.2: empty lines before a request
		other, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			if exception(r, text[:c.bytesRead]) == "" {
				t.Fatalf("net/http refuses what we read: %v", err)
			}
			return
		}
		compare(t, r, h, other)
	})
}

func compare(t *testing.T, r *proxy.Request, h *head, other *http.Request) {
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
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} { // net/http takes them out
		ours.Del(name)
		other.Header.Del(name)
	}
	if ours.Get("Pragma") != "" && ours.Get("Cache-Control") == "" { // net/http makes one of the other
		other.Header.Del("Cache-Control")
	}
	for name, values := range other.Header {
		if !slices.Equal(values, ours[name]) && !slices.ContainsFunc([]byte(name), func(c byte) bool { return classes[byte(c)]&inName == 0 }) {
			t.Fatalf("%s: %q, net/http %q", name, ours[name], values)
		}
		delete(ours, name)
	}
	if len(ours) > 0 {
		t.Fatalf("net/http has no %v", ours)
	}
}
