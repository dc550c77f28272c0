package http1

import (
	"bytes"
	"errors"
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
	"alicorn/proxy/h1"
	"alicorn/proxy/proxytest"
)

// seen is a request as a server has read it.
type seen struct {
	method, target, host, proto string
	header                      http.Header
	body                        string
	fault                       string // what is wrong with the body; "" if it was read
}

// fault returns the text of err; "" for nil.
func fault(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// witness is a server that notes the requests of one connection as it has read them.
type witness struct {
	*proxytest.Server
	addr string
	mu   sync.Mutex
	seen []seen
}

func newWitness(t testing.TB) *witness {
	w := &witness{}
	w.Server = proxytest.New(t, proxytest.Config{
		Text: "server { listen unix:" + filepath.Join(t.TempDir(), "s") + "; keepalive_requests 1000000; client_max_body_size 0; }",
		Modules: []proxy.Module{{Name: "witness", Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.SetContent(proxy.HandlerFunc(w.note))
			return nil
		}}},
		Serve: Serve,
	})
	w.addr = w.Addr("")
	return w
}

// note is the handler: it notes the request.
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

// read sends data on a connection, in pieces of step bytes, and ends the sending side. It
// returns the requests that the server has read, and why it refused the bytes after them;
// "" if it refused none.
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
		t.Fatalf("got %q and a connection that stays open, want it closed", answer)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.refusal(answer)
}

// refusal returns the line of the error log for the last answer, or its status; "" for 200
// and 100.
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

// readCodec reads data, in one piece, with the codec alone.
func readCodec(data []byte) (all []seen, refusal string) {
	rules := h1.RequestRules{Line: 8 << 10, Head: 33 << 10, Fields: 1000, IgnoreInvalid: true}
	for {
		var r proxy.Request
		var h h1.RequestHead
		n, err := h.Feed(&r, data, &rules)
		switch {
		case err != nil:
			return all, refusalOf(err)
		case n == 0 && h.Begun():
			return all, "client sent an incomplete request and closed the connection"
		case n == 0:
			return all, ""
		}
		s := seen{method: r.Method, target: strings.Split(r.Line, " ")[1], host: r.Authority, proto: r.Proto, header: http.Header{}}
		for f := range r.Header.All() {
			s.header.Add(f.Name, f.Value)
		}
		b := h1.NewBody(r.ContentLength, r.Chunked)
		data = data[n:]
		for err == nil && !b.Ended() {
			switch n = min(int(b.Left()), len(data)); {
			case len(data) == 0:
				err = proxy.ErrClientGone
			case n > 0:
				s.body += string(data[:n])
				b.Take(int64(n))
			default:
				n, err = b.Frame(data)
			}
			data = data[n:]
		}
		if err != nil {
			s.fault = refusalOf(err)
			return append(all, s), s.fault
		}
		if all = append(all, s); !h.KeepAlive {
			return all, ""
		}
	}
}

// FuzzConnection checks that a connection reads the same as the codec, in one piece and in
// several.
func FuzzConnection(f *testing.F) {
	const h = "Host: a\r\n"
	const te = "POST /c HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n"
	for _, seed := range []string{
		"GET / HTTP/1.1\r\n" + h + "\r\nGET /2 HTTP/1.1\r\n" + h + "\r\n",
		"POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + h + "\r\n",
		te + "3\r\nabc\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" + h + "\r\n",
		te + "3;x=\"y\"\r\nabc\r\n2 ;z\r\nde\r\n0;e\r\nX: y\r\nZ: \r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
		te + "A\r\n0123456789\r\n00\r\n\r\n", te + "3\nabc\r\n0\r\n\r\n", te + "3\r\nabc\n0\r\n\r\n", te + "0\r\nX\r\n\r\n", te + "0\r\n\n", te + "-1\r\n", te + "0x1\r\na\r\n",
		te + "1\r\nab\r\n0\r\n\r\n", te + "8000000000000000\r\n", te + "1;\na\r\n0\r\n\r\n", te + "0\r\nContent-Length: 3\r\n\r\n", te + "100001\r\n0", te + "0\r\n X: y\r\n\r\n", te + "0\r\nX: \r y\r\n\r\n",
		"POST / HTTP/1.1\r\n" + h + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\n" + h + "Content-Length: 5\r\nConnection: close\r\n\r\nabc", "\r\n\nGET /\r\n\r\n", "GET / HTTP/1.1\r\n" + h, "HEAD / HTTP/1.1\r\n" + h + "Content-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n" + h + "\r\n",
	} {
		f.Add([]byte(seed))
	}
	w := newWitness(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, refusal := w.read(t, data, len(data)+1)
		pieces, refusal2 := w.read(t, data, 3)
		if got, want := fmt.Sprint(pieces), fmt.Sprint(ours); got != want || refusal != refusal2 {
			t.Fatalf("in pieces:\ngot  %s %q\nwant %s %q", got, refusal2, want, refusal)
		}
		codec, codecRefusal := readCodec(data)
		for i, want := range codec {
			if !routed(want.target) {
				return
			}
			if i == len(ours) || fmt.Sprint(ours[i]) != fmt.Sprint(want) {
				t.Fatalf("request %d: got %+v, want %+v", i, ours, want)
			}
		}
		if len(ours) > len(codec) || refusal != codecRefusal {
			t.Fatalf("got %d requests, then %q, want %d and %q", len(ours), refusal, len(codec), codecRefusal)
		}
	})
}

// routed reports whether the Engine finds a location for target.
func routed(target string) bool {
	if _, rest, ok := strings.Cut(target, "://"); ok && target[0] != '/' {
		target = "/"
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			target = rest[i:]
		}
	}
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	_, ok := proxy.NormalizePath(path, true)
	return ok
}

// refusalOf returns the text that the log has for err, an *h1.Error or an error of the
// connection.
func refusalOf(err error) string {
	var wrong *h1.Error
	if errors.As(err, &wrong) {
		err = refusal(wrong)
	}
	return err.Error()
}
