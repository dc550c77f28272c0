package appserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket"
	"alicorn/proxy/websocket/framestest"
)

// newSocketSite is a server whose app `web` is testdata/sockets.py, in event loops or with
// goroutines. program has its wsgi and asgi.
func newSocketSite(t *testing.T, goroutines bool, program string) *site {
	t.Helper()
	rt, sockets := NewRuntime(Options{}), websocket.New()
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:8080; }", Modules: []proxy.Module{sockets.Module(), Module(rt, sockets)},
		Serve: http1.Serve, Goroutines: goroutines})
	if !goroutines {
		rt.o.Loops = s.Loops
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`app web { %s; directory %s; python /usr/bin/python3; user root; env PYTHONDONTWRITEBYTECODE=1; workers 1; }
server { listen 127.0.0.1:8080; client_max_body_size 8m; location / { app_pass web; websocket_compression off; websocket_origin none same; } location /live { app_pass web asgi; } }`, program, dir)
	if strings.Contains(program, "for websocket") == false {
		text = strings.ReplaceAll(text, "app_pass web asgi", "app_pass web")
	}
	if err := s.Reload(text); err != nil {
		t.Fatal(err)
	}
	return &site{Server: s, rt: rt}
}

// webSocket is a client's end.
type webSocket struct {
	net.Conn
	r       *bufio.Reader
	head    string
	answers framestest.Answers
}

func (s *site) openSocket(t *testing.T, target string, fields ...string) *webSocket {
	t.Helper()
	w := &webSocket{Conn: s.Dial("")}
	w.r = bufio.NewReader(w.Conn)
	fields = append([]string{"GET " + target + " HTTP/1.1", "Host: shop", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}, fields...)
	if _, err := io.WriteString(w, strings.Join(fields, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return w
}

// readHead reads the answer's head.
func (w *webSocket) readHead(t *testing.T) string {
	t.Helper()
	for !strings.HasSuffix(w.head, "\r\n\r\n") {
		line, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatalf("got the head %q, %v", w.head, err)
		}
		w.head += line
	}
	return w.head
}

// next returns what the server sends next.
func (w *webSocket) next(t *testing.T) string {
	t.Helper()
	for buf := make([]byte, 4096); ; {
		n, err := w.r.Read(buf)
		all, bad := w.answers.Read(buf[:n])
		if len(all) > 0 {
			var words []string
			for _, a := range all {
				words = append(words, a.String())
			}
			return strings.Join(words, "; ")
		}
		if err != nil || bad != nil {
			return fmt.Sprint("end: ", err, " ", bad)
		}
	}
}

const (
	textFrame  = framestest.Fin | framestest.Text
	closeFrame = framestest.Fin | framestest.Close
)

func (w *webSocket) send(t *testing.T, first byte, payload string) {
	t.Helper()
	if _, err := w.Write(framestest.Frame(first, payload)); err != nil {
		t.Fatal(err)
	}
}

// eachWay runs a test in event loops and with goroutines.
func eachWay(t *testing.T, f func(t *testing.T, goroutines bool)) {
	for _, goroutines := range []bool{false, true} {
		t.Run(map[bool]string{false: "loop", true: "goroutines"}[goroutines], func(t *testing.T) {
			t.Parallel()
			f(t, goroutines)
		})
	}
}

func TestAWebSocketReachesItsApplication(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, goroutines bool) {
		s := newSocketSite(t, goroutines, "asgi sockets:app")
		w := s.openSocket(t, "/chat", "Sec-WebSocket-Protocol: a, b")
		head := w.readHead(t)
		for _, want := range []string{"HTTP/1.1 101 ", "\r\nx-a: 1\r\n", "\r\nSec-WebSocket-Protocol: b\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"} {
			if !strings.Contains(head, want) {
				t.Errorf("got the head %q, want %q in it", head, want)
			}
		}
		if got := w.next(t); got != "text hello ws" {
			t.Errorf(`got %q first, want "text hello ws"`, got)
		}
		long := strings.Repeat("x", 1<<20)
		for _, m := range []string{"hi", long, ""} {
			want := "text " + m
			if len(m) > 40 {
				want = fmt.Sprintf("text of %d bytes", len(m))
			}
			if w.send(t, textFrame, m); w.next(t) != want {
				t.Errorf("got another message, want the %d bytes back", len(m))
			}
		}
		w.send(t, textFrame, "close")
		if got := w.next(t); got != "close 4001" {
			t.Errorf("got %q, want the application's close", got)
		}
		w.send(t, closeFrame, framestest.Code(4001, ""))
		if got := w.next(t); !strings.HasPrefix(got, "end: EOF") {
			t.Errorf(`got %q after the close, want "end: EOF" at its beginning`, got)
		}
	})
}

func TestAnApplicationHearsOfAClientsEnd(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, goroutines bool) {
		s := newSocketSite(t, goroutines, "asgi sockets:app")
		for _, c := range []struct {
			name string
			end  func(w *webSocket)
			want string
		}{
			{"a close", func(w *webSocket) { w.send(t, closeFrame, framestest.Code(3001, "done")) }, "disconnect 3001"},
			{"a close without a code", func(w *webSocket) { w.send(t, closeFrame, "") }, "disconnect 1005"},
			{"a lost connection", func(w *webSocket) { w.Close() }, "disconnect 1006"},
			{"a malformed frame", func(w *webSocket) { w.send(t, 0xF0|framestest.Text, "x") }, "disconnect 1002"},
		} {
			w := s.openSocket(t, "/")
			w.readHead(t)
			w.next(t)
			c.end(w)
			s.Log.Wait(t, c.want)
		}
		if goroutines {
			return // there a client that leaves before the answer is noticed by writing only
		}
		w := s.openSocket(t, "/never")
		s.Log.Wait(t, "waits")
		w.Close()
		s.Log.Wait(t, "told websocket.disconnect")
	})
}

func TestARefusedWebSocketIsAnsweredInHTTP(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, goroutines bool) {
		s := newSocketSite(t, goroutines, "asgi sockets:app")
		for _, c := range []struct {
			target string
			fields []string
			want   string
		}{
			{"/refuse", nil, "HTTP/1.1 403 "},
			{"/answer", nil, "HTTP/1.1 418 "},
			{"/", []string{"Origin: https://evil.example"}, "HTTP/1.1 403 "},
			{"/", []string{"Content-Length: 3", "", "abc"}, "HTTP/1.1 400 "},
		} {
			if head := s.openSocket(t, c.target, c.fields...).readHead(t); !strings.HasPrefix(head, c.want) {
				t.Errorf("%s %q: got %q, want %q", c.target, c.fields, head, c.want)
			}
		}
		nc := s.Dial("")
		io.WriteString(nc, "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n")
		if line, _ := bufio.NewReader(nc).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 426 ") {
			t.Errorf("another version: got %q, want 426", line)
		}
	})
}

func TestAnApplicationThatFailsClosesItsWebSocket(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, goroutines bool) {
		s := newSocketSite(t, goroutines, "asgi sockets:app")
		w := s.openSocket(t, "/raise")
		w.readHead(t)
		if got := w.next(t); got != "text hello ws" && got != "text hello ws; close 1011" {
			t.Errorf(`got %q first, want "text hello ws" or "text hello ws; close 1011"`, got)
		} else if got == "text hello ws" {
			if got = w.next(t); got != "close 1011" {
				t.Errorf("got %q, want close 1011", got)
			}
		}
		s.Log.Wait(t, "after accept")
		w = s.openSocket(t, "/")
		w.readHead(t)
		w.next(t)
		w.send(t, textFrame, "die")
		if got := w.next(t); got != "close 1011" {
			t.Errorf("the worker has died: got %q, want close 1011", got)
		}
		w = s.openSocket(t, "/")
		if head := w.readHead(t); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Errorf(`after a worker's death: got %q; want "HTTP/1.1 101 " at its beginning`, head)
		}
	})
}

// Where an app has both programs its WebSockets go to one, and other requests to the other,
// unless the location names the one.
func TestWebSocketsGoToTheSecondProgram(t *testing.T) {
	t.Parallel()
	s := newSocketSite(t, false, "wsgi sockets:plain; asgi sockets:app for websocket")
	expect(t, s.Get("/x"), 200, "wsgi /x")
	expect(t, s.Get("/live/x"), 200, "asgi /live/x")
	w := s.openSocket(t, "/x")
	w.readHead(t)
	if got := w.next(t); got != "text hello ws" {
		t.Errorf("got %q, want the ASGI application's greeting", got)
	}
	var names []string
	for _, p := range s.rt.Pools() {
		st := p.Brief()
		names = append(names, st.App+" "+st.Kind+" "+st.Workers[0].Name)
	}
	if got := strings.Join(names, ", "); got != "web wsgi web:1, web/asgi asgi web/asgi:1" {
		t.Errorf(`the pools are %q, want "web wsgi web:1, web/asgi asgi web/asgi:1"`, got)
	}
}

func TestAnASGIApplicationGetsBodiesOfAllSizes(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, goroutines bool) {
		s := newSocketSite(t, goroutines, "asgi sockets:app")
		for _, size := range []int{0, 1, 16<<10 + 1, 48 << 10, 64<<10 + 1, 3 << 20} {
			for _, chunked := range []bool{false, true} {
				nc := s.Dial("")
				body := strings.Repeat("b", size)
				if chunked {
					io.WriteString(nc, "POST /p HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
					if size > 0 {
						fmt.Fprintf(nc, "%x\r\n%s\r\n", size, body)
					}
					io.WriteString(nc, "0\r\n\r\n")
				} else {
					fmt.Fprintf(nc, "POST /p HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", size, body)
				}
				answer, err := io.ReadAll(nc)
				if want := fmt.Sprintf("\r\nx-size: %d\r\n", size); err != nil || !strings.Contains(string(answer), want) || !strings.HasSuffix(string(answer), "asgi /p") {
					t.Errorf(`%d bytes, chunked %v: got %q, %v; want %q in it and "asgi /p" at its end`, size, chunked, answer, err, want)
				}
			}
		}
	})
}
