package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// seen is a request as a server understood it.
type seen struct {
	method, target, host, proto string
	header                      http.Header
	body                        string
	fault                       string // what is wrong with the body
}

func fault(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// witness is a server that notes what it understood of one connection.
type witness struct {
	*proxytest.Server
	addr string
	mu   sync.Mutex
	seen []seen
}

func newWitness(t testing.TB) *witness {
	w := &witness{}
	w.Server = proxytest.New(t, proxytest.Config{
		Text: "server { listen unix:" + filepath.Join(t.TempDir(), "s") + "; keepalive_requests 1000000; }",
		Modules: []proxy.Module{{Name: "witness", Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.SetContent(proxy.HandlerFunc(w.note))
			return nil
		}}},
		Serve: Serve,
	})
	w.addr = w.Addr("")
	return w
}

func (w *witness) note(x *proxy.Exchange) error {
	r := &x.Req
	s := seen{method: strings.Clone(r.Method), target: strings.Clone(strings.Split(r.Line, " ")[1]), host: strings.Clone(r.Authority), proto: strings.Clone(r.Proto), header: http.Header{}}
	for f := range r.Header.All() {
		s.header.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	body, err := io.ReadAll(x.Body())
	s.body, s.fault = string(body), fault(err)
	w.mu.Lock()
	w.seen = append(w.seen, s)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	return x.Res.Reply(200, "text/plain", nil)
}

// read sends data on a connection, in pieces of step bytes, ends its side, and
// returns the requests that the server understood, and why it refused what
// came then; "" when it refused nothing.
func (w *witness) read(t *testing.T, data []byte, step int) (all []seen, refusal string) {
	w.Log.Reset()
	w.mu.Lock()
	w.seen = nil
	w.mu.Unlock()
	nc, err := net.Dial("unix", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(data) > 0 {
			n, err := nc.Write(data[:min(step, len(data))])
			if err != nil {
				return
			}
			data = data[n:]
		}
		nc.(*net.UnixConn).CloseWrite()
	}()
	answer, err := io.ReadAll(nc)
	nc.Close()
	<-sent
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("the server does not end: %q", answer)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.refusal(answer)
}

// refusal is what the error log says of the last answer, or its status.
func (w *witness) refusal(answer []byte) string {
	for _, line := range strings.Split(w.Log.String(), "\n") {
		_, line, _ = strings.Cut(line, ": ")
		line, _, _ = strings.Cut(line, ", client: ")
		if line != "" && !strings.HasSuffix(line, "ignored") {
			return line
		}
	}
	if i := bytes.LastIndex(answer, []byte("HTTP/1.1 ")); i >= 0 {
		status, _, _ := strings.Cut(string(answer[i+9:]), "\r\n")
		if status != "200 OK" && status != "100 Continue" {
			return status
		}
	}
	return ""
}

// readOther reads data as net/http does, until it ends or is refused.
func readOther(data []byte) (all []seen, refusal error) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		for b, err := r.Peek(1); err == nil && (b[0] == '\r' || b[0] == '\n'); b, err = r.Peek(1) {
			r.Discard(1) // RFC 9112 section 2.2: empty lines before a request
		}
		q, err := http.ReadRequest(r)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		body, err := io.ReadAll(q.Body)
		all = append(all, seen{q.Method, q.RequestURI, q.Host, q.Proto, q.Header, string(body), fault(err)})
		if err != nil || q.Close {
			return all, err
		}
	}
}

// FuzzConnection: what we read on a connection, request by request with their
// bodies, net/http reads the same; where only one goes on is in a list.
func FuzzConnection(f *testing.F) {
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
	w := newWitness(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, refusal := w.read(t, data, len(data)+1)
		pieces, refusal2 := w.read(t, data, 3)
		if got, want := fmt.Sprint(pieces), fmt.Sprint(ours); got != want || refusal != refusal2 {
			t.Fatalf("at once  %s %q\nin pieces %s %q", want, refusal, got, refusal2)
		}
		others, otherRefusal := readOther(data)
		for i := range ours {
			if i == len(others) {
				if ours[i].proto != "HTTP/0.9" && lenientOf(ours[i], data) == "" {
					t.Fatalf("net/http does not read our request %d, %+v: %v", i, ours[i], otherRefusal)
				}
				return
			}
			if !sameRequest(t, ours[i], others[i], refusal) {
				return
			}
		}
		if len(others) > len(ours) && strict[refusal] == "" && others[len(ours)].fault == "" {
			t.Fatalf("we do not read request %d of net/http's, %+v: %q", len(ours), others[len(ours)], refusal)
		}
	})
}

// lenientBodies has the faults that net/http finds in bodies that we read, and
// why we may.
var lenientBodies = map[string]string{
	"invalid byte in chunk length": "RFC 9112 section 7.1.1: white space may stand before an extension",
}

// sameRequest compares one request; false when either refused its body, which
// ends the connection.
func sameRequest(t *testing.T, ours, other seen, refusal string) bool {
	t.Helper()
	if ours.method != other.method || ours.target != other.target || ours.host != other.host || ours.proto != other.proto {
		t.Fatalf("%+v, net/http %+v", ours, other)
	}
	sameFields(t, ours.header, other.header)
	switch {
	case ours.fault != "" && other.fault != "":
		return false
	case ours.fault != "":
		if strict[refusal] == "" {
			t.Fatalf("we refuse a body that net/http reads, %q: %s, %q", other.body, ours.fault, refusal)
		}
		return false
	case other.fault != "" && lenientBodies[other.fault] != "":
		return false
	case other.fault != "":
		t.Fatalf("net/http refuses a body that we read, %q: %s", ours.body, other.fault)
	}
	if ours.body != other.body {
		t.Fatalf("body %q, net/http %q", ours.body, other.body)
	}
	return true
}

// lenientOf is lenient of a request that came in data.
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
