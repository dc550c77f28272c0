package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// echo answers each request with its method, path, host and body.
func echo() proxy.Module {
	return proxy.Module{Name: "echo", Compile: func(s *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			body, err := io.ReadAll(x.Body())
			if err != nil {
				return err
			}
			return x.Res.Reply(200, "text/plain", fmt.Appendf(nil, "%s %s %s [%s]", x.Req.Method, x.Req.Path, x.Req.Host, body))
		}))
		return nil
	}}
}

func newServer(t testing.TB, settings string) *proxytest.Server {
	return proxytest.New(t, proxytest.Config{
		Text:    "server { listen 127.0.0.1:8000; " + settings + " }",
		Modules: []proxy.Module{echo()},
		Serve:   http1.Serve,
	})
}

func TestRequestsAreReadStrictly(t *testing.T) {
	s := newServer(t, "lingering_timeout 100ms; client_header_timeout 60s;")
	const h = "Host: a\r\n"
	for _, c := range []struct{ name, request, want string }{
		{"plain", "GET / HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 GET / a []"},
		{"bare LF ends lines", "GET /x HTTP/1.1\nHost: a\nConnection: close\n\n", "200 GET /x a []"},
		{"leading empty lines", "\r\n\r\nGET / HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 GET / a []"},
		{"1.0 without host", "GET / HTTP/1.0\r\n\r\n", "200 GET /  []"},
		{"0.9", "GET /nine\r\n", "GET /nine  []"},
		{"pipelined", "GET /1 HTTP/1.1\r\n" + h + "\r\nGET /2 HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 GET /1 a [] 200 GET /2 a []"},
		{"pipelined behind a body", "POST /1 HTTP/1.1\r\n" + h + "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 POST /1 a [abc] 200 GET /2 a []"},
		{"chunked", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "200 POST / a [abcde]"},
		{"chunked with trailers, then another", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 POST / a [abc] 200 GET /2 a []"},
		{"absolute form wins over Host", "GET http://b.example:81/p HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 GET /p b.example []"},
		{"lower-case method is a method", "get / HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", "200 get / a []"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
		{"two Authorizations", "GET / HTTP/1.1\r\n" + h + "Authorization: Basic YTpi\r\nauthorization: Basic Yzpk\r\n\r\n", "400"},
		{"two If-Modified-Since", "GET / HTTP/1.1\r\n" + h + "If-Modified-Since: x\r\nIf-Modified-Since: x\r\n\r\n", "400"},
		{"two If-Unmodified-Since", "GET / HTTP/1.1\r\n" + h + "If-Unmodified-Since: x\r\nIf-Unmodified-Since: y\r\n\r\n", "400"},
		{"two If-Match", "GET / HTTP/1.1\r\n" + h + "If-Match: \"a\"\r\nIf-Match: \"b\"\r\n\r\n", "400"},
		{"two If-None-Match", "GET / HTTP/1.1\r\n" + h + "If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n\r\n", "400"},
		{"two If-Range", "GET / HTTP/1.1\r\n" + h + "If-Range: x\r\nIf-Range: y\r\n\r\n", "400"},
		{"two Cookies", "GET / HTTP/1.1\r\n" + h + "Cookie: a\r\nCookie: b\r\nConnection: close\r\n\r\n", "200 GET / a []"},
		{"bad Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"Host with at sign", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
		{"Host: @", "GET / HTTP/1.1\r\nHost: @\r\n\r\n", "400"},
		{"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", "200 GET / [::1] []"},
		{"CL and TE", "POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"two CL", "POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
		{"CL list", "POST / HTTP/1.1\r\n" + h + "Content-Length: 3, 3\r\n\r\nabc", "400"},
		{"CL plus", "POST / HTTP/1.1\r\n" + h + "Content-Length: +3\r\n\r\nabc", "400"},
		{"CL hex", "POST / HTTP/1.1\r\n" + h + "Content-Length: 0x3\r\n\r\nabc", "400"},
		{"CL empty", "POST / HTTP/1.1\r\n" + h + "Content-Length: \r\n\r\n", "400"},
		{"CL huge", "POST / HTTP/1.1\r\n" + h + "Content-Length: 99999999999999999999\r\n\r\n", "400"},
		{"unknown coding", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
		{"coding twice", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"bad chunk size", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "400"},
		{"bare LF in chunk framing", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", "400"},
		{"no CRLF after chunk", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "400"},
		{"space in chunk size", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n0 5\r\n\r\n", "400"},
		{"long chunk size", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n", "400"},
		{"long chunk extension", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 2000) + "\r\nabc\r\n0\r\n\r\n", "400"},
		{"many chunk extensions", "POST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("3;"+strings.Repeat("x", 800)+"\r\nabc\r\n", 30) + "0\r\n\r\n", "400"},
		{"chunk extensions of much data", "POST /size HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400;chunk-signature="+strings.Repeat("f", 64)+"\r\n"+strings.Repeat("d", 1024)+"\r\n", 300) + "0\r\n\r\n", "200 POST /size a [" + strings.Repeat("d", 300<<10) + "]"},
		{"folding", "GET / HTTP/1.1\r\n" + h + "X: a\r\n b\r\n\r\n", "400"},
		{"space before colon", "GET / HTTP/1.1\r\n" + h + "X : a\r\n\r\n", "400"},
		{"no colon", "GET / HTTP/1.1\r\n" + h + "X\r\n\r\n", "400"},
		{"no name", "GET / HTTP/1.1\r\n" + h + ": a\r\n\r\n", "400"},
		{"NUL", "GET / HTTP/1.1\r\n" + h + "X: a\x00b\r\n\r\n", "400"},
		{"bare CR in value", "GET / HTTP/1.1\r\n" + h + "X: a\rb\r\n\r\n", "400"},
		{"bare CR in line", "GET /\ra HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"two spaces", "GET  / HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"tab", "GET\t/ HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"version 2", "GET / HTTP/2.0\r\n" + h + "\r\n", "505"},
		{"version lower case", "GET / http/1.1\r\n" + h + "\r\n", "400"},
		{"version long", "GET / HTTP/1.10\r\n" + h + "\r\n", "400"},
		{"preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\n" + h + "\r\n", "405"},
		{"TRACE", "TRACE / HTTP/1.1\r\n" + h + "\r\n", "405"},
		{"asterisk", "GET * HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"relative target", "GET a HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"bad escape", "GET /%zz HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"method with a colon", "GE:T / HTTP/1.1\r\n" + h + "\r\n", "400"},
		{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"},
		{"long line", "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\n" + h + "\r\n", "414"},
		{"long field", "GET / HTTP/1.1\r\n" + h + "X: " + strings.Repeat("a", 9000) + "\r\n\r\n", "400"},
		{"expectation", "GET / HTTP/1.1\r\n" + h + "Expect: wonders\r\n\r\n", "417"},
		{"100-continue", "POST / HTTP/1.1\r\n" + h + "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", "100 200 POST / a [ab]"},
		{"body cut", "POST / HTTP/1.1\r\n" + h + "Content-Length: 5\r\n\r\nab", "-"},
		{"head cut", "GET / HTTP/1.1\r\n" + h, "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(exchange(t, s, c.request)); got != c.want {
				t.Errorf("got the answer %q, want %q", got, c.want)
			}
		})
	}
}

// exchange sends request, ends the sending side and returns everything that comes back.
func exchange(t *testing.T, s *proxytest.Server, request string) string {
	nc := s.Dial("127.0.0.1:8000")
	defer nc.Close()
	go func() {
		io.WriteString(nc, request)
		nc.(*net.TCPConn).CloseWrite()
	}()
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("got %v reading the answer, want no error", err)
	}
	return string(answer)
}

// summary returns the status of each answer, and the body of each 200; "-" without an
// answer.
func summary(answer string) string {
	var out []string
	for answer != "" {
		if !strings.HasPrefix(answer, "HTTP/1.1 ") {
			out = append(out, answer)
			break
		}
		head, rest, _ := strings.Cut(answer, "\r\n\r\n")
		status := head[9:12]
		out, answer = append(out, status), rest
		n := 0
		for line := range strings.Lines(head) {
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				fmt.Sscan(v, &n)
			}
		}
		if status == "200" && n <= len(rest) {
			out = append(out, rest[:n])
		}
		answer = answer[min(n, len(answer)):]
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, " ")
}

func BenchmarkKeepAlive(b *testing.B) {
	s := newServer(b, "keepalive_requests 1000000000;")
	nc := s.Dial("127.0.0.1:8000")
	defer nc.Close()
	r := bufio.NewReader(nc)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := r.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
