package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// serve starts a server whose content is h.
func serve(t testing.TB, settings string, h func(x *proxy.Exchange) error) *proxytest.Server {
	return proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8000; " + settings + " }",
		Modules: []proxy.Module{{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.SetContent(proxy.HandlerFunc(h))
			return nil
		}}},
		Serve: http1.Serve,
	})
}

// trickle sends a byte of request every few milliseconds until the server closes the
// connection, and returns what came back. The server must close before the last byte.
func trickle(t *testing.T, s *proxytest.Server, request string) string {
	nc := s.Dial("127.0.0.1:8000")
	defer nc.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for i := range len(request) {
			if _, err := io.WriteString(nc, request[i:i+1]); err != nil {
				return
			}
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		t.Error("got the whole request taken, want the connection closed before")
	}()
	nc.SetReadDeadline(time.Now().Add(2 * patience))
	answer, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection was not closed")
	}
	return string(answer)
}

func TestSlowHeadIsCut(t *testing.T) {
	s := newServer(t, "client_header_timeout 200ms; lingering_timeout 50ms; lingering_time 50ms;")
	for _, request := range []string{
		"GET /" + long(7000) + " HTTP/1.1\r\n",
		get + "X: " + long(7000),
		get + strings.Repeat("X: 1\r\n", 900),
	} {
		answer := ""
		for range 4 { // a machine that is held up may send the first byte too late
			if answer = trickle(t, s, request); answer != "" {
				break
			}
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 408 ") {
			t.Errorf("got the answer %.40q, want 408", answer)
		}
	}
}

func TestSilenceIsCut(t *testing.T) {
	for _, c := range []struct{ name, settings, request, want string }{
		{"before a request", "client_header_timeout 300ms;", "", "-"},
		{"in the empty lines before one", "client_header_timeout 300ms;", "\r\n", "-"},
		{"in a request line", "client_header_timeout 300ms;", "GET / HT", "408"},
		{"between requests", "keepalive_timeout 300ms;", get + "\r\n", "200 GET / a []"},
		{"in a body", "client_body_timeout 300ms;", post + "Content-Length: 3\r\n\r\nab", "408"},
		{"in a chunk size", "client_body_timeout 300ms;", post + "Transfer-Encoding: chunked\r\n\r\n3", "408"},
		{"in a chunk", "client_body_timeout 300ms;", post + "Transfer-Encoding: chunked\r\n\r\n3\r\na", "408"},
		{"in a trailer", "client_body_timeout 300ms;", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX", "408"},
		{"in a location's own timeout", "location / { client_body_timeout 300ms; }", post + "Content-Length: 3\r\n\r\nab", "408"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "lingering_timeout 50ms; "+c.settings)
			got, err := "", error(nil)
			for range 4 { // a machine that is held up may send too late
				nc := s.Dial("127.0.0.1:8000")
				io.WriteString(nc, c.request)
				answer, readErr := io.ReadAll(nc)
				nc.Close()
				if got, err = summary(string(answer)), readErr; got == c.want && err == nil {
					return
				}
			}
			t.Errorf("got the answer %q, %v, want %q", got, err, c.want)
		})
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	ended := make(chan error, 1)
	s := serve(t, "send_timeout 200ms;", func(x *proxy.Exchange) error {
		x.Res.Status = 200
		err := x.Res.Send()
		for block := make([]byte, 1<<20); err == nil; {
			_, err = x.Res.Write(block)
		}
		ended <- err
		return err
	})
	nc := s.Dial("127.0.0.1:8000")
	defer nc.Close()
	io.WriteString(nc, get+"\r\n")
	select {
	case err := <-ended:
		if !errors.Is(err, proxy.ErrClientGone) {
			t.Errorf("Write: got %v, want %v", err, proxy.ErrClientGone)
		}
	case <-time.After(patience):
		t.Error("Write has not failed")
	}
}

func TestAnUnreadBodyIsSkippedOrEndsTheConnection(t *testing.T) {
	s := serve(t, "lingering_timeout 100ms; lingering_time 200ms;", func(x *proxy.Exchange) error {
		return x.Res.Reply(200, "text/plain", []byte(x.Req.Path))
	})
	runs := []rawCase{
		{"a small body is skipped", post + "Content-Length: 3\r\n\r\nabc" + next, "200 / 200 /next"},
		{"chunks are skipped", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + next, "200 / 200 /next"},
		{"malformed chunks end the connection", post + "Transfer-Encoding: chunked\r\n\r\nz\r\n" + next, "200 /"},
		{"a body that waits for 100 ends the connection", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n" + next, "200 /"},
		{"a large body ends the connection", post + "Content-Length: 1000000\r\n\r\n" + next, "200 /"},
		{"a cut body ends the connection", post + "Content-Length: 10\r\n\r\nabc", "200 /"},
	}
	for _, c := range runs {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(exchange(t, s, c.request)); got != c.want {
				t.Errorf("got the answer %q, want %q", got, c.want)
			}
		})
	}
}

// A client that still sends when the connection closes reads the answer, not a reset.
func TestAnswerArrivesThoughTheBodyIsNotRead(t *testing.T) {
	s := newServer(t, "client_max_body_size 1k; lingering_timeout 2s;")
	nc := s.Dial("127.0.0.1:8000")
	defer nc.Close()
	go func() {
		io.WriteString(nc, post+"Content-Length: 4000000\r\n\r\n")
		nc.Write(make([]byte, 4000000))
		nc.(*net.TCPConn).CloseWrite()
	}()
	answer, err := io.ReadAll(nc)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 413 ")) {
		t.Errorf("got the answer %.40q, %v, want 413", answer, err)
	}
}

func TestResponsesAreFramedForTheirVersion(t *testing.T) {
	reply := func(set func(r *proxy.Response)) func(x *proxy.Exchange) error {
		return func(x *proxy.Exchange) error {
			set(&x.Res)
			return x.Res.Reply(200, "text/plain", []byte("body"))
		}
	}
	stream := func(length int64, parts ...string) func(x *proxy.Exchange) error {
		return func(x *proxy.Exchange) error {
			x.Res.Status, x.Res.Length = 200, length
			if err := x.Res.Send(); err != nil {
				return err
			}
			for _, p := range parts {
				if _, err := io.WriteString(&x.Res, p); err != nil {
					return err
				}
			}
			return x.Res.Finish()
		}
	}
	for _, c := range []struct {
		name, settings, request string
		serve                   func(x *proxy.Exchange) error
		has, hasNot             []string
	}{
		{"line breaks in a value", "", get, reply(func(r *proxy.Response) { r.Header.Add("X", "a\r\nSet-Cookie: b") }), []string{"200", "\r\n\r\nbody"}, []string{"Set-Cookie"}},
		{"NUL in a value", "", get, reply(func(r *proxy.Response) { r.Header.Add("X-Y", "a\x00") }), nil, []string{"X-Y"}},
		{"line break in a name", "", get, reply(func(r *proxy.Response) { r.Header.Add("X:\r\nY", "a") }), nil, []string{"Y"}},
		{"framing of the handler's own", "", get, reply(func(r *proxy.Response) {
			r.Header.Add("Transfer-Encoding", "chunked")
			r.Header.Add("Content-Length", "99")
			r.Header.Add("Connection", "upgrade")
		}), []string{"Content-Length: 4\r\n"}, []string{"chunked", "99", "upgrade"}},
		{"Server of the handler's own", "", get, reply(func(r *proxy.Response) { r.Header.Add("Server", "mine") }), []string{"Server: mine\r\n"}, []string{"alicorn"}},
		{"version hidden", "server_tokens off;", get, reply(func(*proxy.Response) {}), []string{"Server: alicorn\r\n"}, nil},
		{"1.1 says nothing of keep-alive", "", get, reply(func(*proxy.Response) {}), nil, []string{"Connection"}},
		{"1.0 keeps alive when asked", "", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n", reply(func(*proxy.Response) {}), []string{"Connection: keep-alive\r\n"}, nil},
		{"Keep-Alive field", "keepalive_timeout 75s 20s;", get, reply(func(*proxy.Response) {}), []string{"Keep-Alive: timeout=20\r\n"}, nil},
		{"keep-alive off", "keepalive_timeout 0;", get, reply(func(*proxy.Response) {}), []string{"Connection: close\r\n"}, nil},
		{"unknown length", "", get, stream(-1, "ab", "cde"), []string{"Transfer-Encoding: chunked\r\n", "\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"}, []string{"Content-Length"}},
		{"large chunk", "", get, stream(-1, long(9000)), []string{"\r\n\r\n2328\r\n" + long(9000) + "\r\n0\r\n\r\n"}, nil},
		{"unknown length for 1.0", "", "GET / HTTP/1.0\r\n", stream(-1, "ab"), []string{"Connection: close\r\n", "\r\n\r\nab"}, []string{"chunked"}},
		{"unknown length without chunks", "chunked_transfer_encoding off;", get, stream(-1, "ab"), []string{"Connection: close\r\n", "\r\n\r\nab"}, []string{"chunked"}},
		{"HEAD", "", "HEAD / HTTP/1.1\r\n" + host, stream(2, "ab"), []string{"Content-Length: 2\r\n"}, []string{"\r\n\r\nab"}},
		{"HEAD of unknown length", "", "HEAD / HTTP/1.1\r\n" + host, stream(-1, "ab"), nil, []string{"chunked", "Content-Length", "ab\r\n"}},
		{"304", "", get, func(x *proxy.Exchange) error { return x.Res.Reply(304, "", nil) }, []string{"304 Not Modified\r\n"}, []string{"Content-Length", "chunked"}},
		{"204", "", get, func(x *proxy.Exchange) error { return x.Res.Reply(204, "", nil) }, []string{"204 No Content\r\n"}, []string{"Content-Length", "chunked"}},
		{"body too short", "", get, stream(5, "ab"), []string{"Content-Length: 5\r\n", "\r\n\r\nab"}, nil},
		{"body too long", "", get, stream(1, "ab"), []string{"Content-Length: 1\r\n"}, []string{"\r\n\r\nab"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.settings, c.serve)
			answer := exchange(t, s, c.request+"\r\n")
			for _, part := range c.has {
				if !strings.Contains(answer, part) {
					t.Errorf("got %q, want %q in it", answer, part)
				}
			}
			for _, part := range c.hasNot {
				if strings.Contains(answer, part) {
					t.Errorf("got %q, want no %q in it", answer, part)
				}
			}
		})
	}
}

// If the end of the connection is the end of the body, a cut response ends with a reset:
// with a plain close it would look complete.
func TestACutResponseDoesNotLookComplete(t *testing.T) {
	s := serve(t, "", func(x *proxy.Exchange) error {
		x.Res.Status = 200
		if err := x.Res.Send(); err != nil {
			return err
		}
		io.WriteString(&x.Res, "part")
		x.Res.Flush()
		return errors.New("the source failed")
	})
	for _, version := range []string{"1.0", "1.1"} {
		nc := s.Dial("127.0.0.1:8000")
		io.WriteString(nc, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n")
		answer, err := io.ReadAll(nc)
		nc.Close()
		if whole := bytes.HasSuffix(answer, []byte("0\r\n\r\n")); whole || version == "1.0" && err == nil {
			t.Errorf("%s: got the answer %q, %v, want an incomplete one", version, answer, err)
		}
	}
}

func TestFilesAreSentWhole(t *testing.T) {
	const most = 3 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), most/16)
	name := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "", func(x *proxy.Exchange) error {
		var off, n, announced int64
		if _, err := fmt.Sscanf(x.Req.Args, "%d,%d,%d", &off, &n, &announced); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		x.Res.Status, x.Res.Length = 200, announced
		if err := x.Res.Send(); err != nil {
			return err
		}
		if err := x.Res.SendFile(f, off, n); err != nil {
			return err
		}
		return x.Res.Finish()
	})
	for _, off := range []int64{0, 7} {
		for _, n := range []int64{1, 4000, 4096, 32 << 10, 64<<10 + 1, 1 << 20, most - 7} {
			for _, announced := range []int64{n, -1} {
				nc := s.Dial("127.0.0.1:8000")
				fmt.Fprintf(nc, "GET /?%d,%d,%d HTTP/1.0\r\n\r\n", off, n, announced)
				answer, err := io.ReadAll(nc)
				nc.Close()
				_, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
				if err != nil || !bytes.Equal(body, data[off:off+n]) {
					t.Errorf("from %d, announced %d: got %d bytes, %v, want %d bytes of the file", off, announced, len(body), err, n)
				}
			}
		}
	}
	for _, n := range []int64{most + 1, most + 100000} { // as if the file had shrunk
		answer := exchange(t, s, fmt.Sprintf("GET /?0,%d,%d HTTP/1.1\r\nHost: a\r\n\r\n", n, n)+next)
		if _, body, _ := strings.Cut(answer, "\r\n\r\n"); len(body) > most {
			t.Errorf("a file that shrank: got %q after its bytes, want nothing", body[most:])
		}
	}
}

func TestBytesAreCountedAsOnTheWire(t *testing.T) {
	type counts struct{ read, sent int64 }
	got := make(chan counts, 1)
	s := proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8000; }",
		Modules: []proxy.Module{{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				io.Copy(io.Discard, x.Body())
				return x.Res.Reply(200, "text/plain", []byte(long(6000)))
			}))
			l.OnLog(func(x *proxy.Exchange) { got <- counts{x.BytesRead(), x.BytesSent()} })
			return nil
		}}},
		Serve: http1.Serve,
	})
	for _, request := range []string{
		get + last + "\r\n",
		post + last + "Content-Length: 3\r\n\r\nabc",
		chunked + "3;x\r\nabc\r\n0\r\nT: x\r\n\r\n",
	} {
		answer := exchange(t, s, request)
		want := counts{int64(len(request)), int64(len(answer))}
		if c := <-got; c != want {
			t.Errorf("%q: got %+v, want %+v", request, c, want)
		}
	}
}

func TestNoGoroutineOutlivesItsConnection(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("connections", func(t *testing.T) {
		s := newServer(t, "")
		for i := range 50 {
			nc := s.Dial("127.0.0.1:8000")
			io.WriteString(nc, get+"\r\n"[:i%3])
			defer nc.Close()
		}
	})
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("got %d goroutines, want %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	page := bytes.Repeat([]byte("x"), 100)
	large := bytes.Repeat([]byte("x"), 20000)
	s := serve(t, "keepalive_requests 1000000000;", func(x *proxy.Exchange) error {
		if x.Req.Path == "/large" {
			return x.Res.Reply(200, "text/plain", large)
		}
		return x.Res.Reply(200, "text/plain", page)
	})
	for path, body := range map[string][]byte{"/small": page, "/large": large} {
		nc := s.Dial("127.0.0.1:8000")
		request := []byte("GET " + path + " HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
		nc.Write(request)
		answer := make([]byte, 64<<10)
		n, err := io.ReadAtLeast(nc, answer, len(body)+100)
		if err != nil {
			t.Fatal(err)
		}
		answer = answer[:bytes.Index(answer[:n], []byte("\r\n\r\n"))+4+len(body)]
		if _, err := io.ReadFull(nc, answer[n:]); err != nil {
			t.Fatal(err)
		}
		once := func() {
			nc.Write(request)
			if _, err := io.ReadFull(nc, answer); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			once()
		}
		if n := testing.AllocsPerRun(500, once); n > 0 && !raceEnabled {
			t.Errorf("%s: got %v allocations per request, want 0", path, n)
		}
		nc.Close()
	}
}
