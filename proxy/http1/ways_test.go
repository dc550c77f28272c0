package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// way is a server that serves connections in one of the four ways: on a loop or on
// goroutines, in clear text or over TLS.
type way struct {
	*proxytest.Server
	secure  bool
	entered chan bool // a request for /wait has come
	open    chan bool // it may go on
}

const largeBody = 8 << 20

func (w *way) answer(x *proxy.Exchange) error {
	switch x.Req.Path {
	case "/large":
		return x.Res.Reply(200, "text/plain", bytes.Repeat([]byte("0123456789abcdef"), largeBody/16))
	case "/unread":
		return x.Res.Reply(200, "text/plain", []byte("/unread []"))
	case "/wait":
		x.Offload(func() {
			w.entered <- true
			<-w.open
		})
	case "/after":
		err := x.Res.Reply(200, "text/plain", []byte("/after []"))
		x.Offload(func() { <-w.open })
		return err
	}
	body, err := io.ReadAll(x.Body())
	if err != nil {
		return err
	}
	return x.Res.Reply(200, "text/plain", fmt.Appendf(nil, "%s [%s]", x.Req.Path, body))
}

func newWay(t *testing.T, secure, goroutines bool, settings string) *way {
	w := &way{secure: secure, entered: make(chan bool, 8), open: make(chan bool)}
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(w.answer))
		return nil
	}}
	listen := "127.0.0.1:8000"
	if !strings.Contains(settings, "lingering_timeout") {
		settings = "lingering_timeout 50ms; " + settings
	}
	if secure {
		listen += " ssl"
		content.Generation = proxytest.SecureSites(t)
	}
	w.Server = proxytest.New(t, proxytest.Config{Text: "server { listen " + listen + "; " + settings + " }",
		Modules: []proxy.Module{content}, Serve: http1.Serve, Goroutines: goroutines})
	return w
}

func (w *way) connect() net.Conn {
	nc := w.Dial("127.0.0.1:8000")
	if w.secure {
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	return nc
}

// inAllWays runs test on a loop and on goroutines, in clear text and over TLS.
func inAllWays(t *testing.T, settings string, test func(t *testing.T, w *way)) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) { test(t, newWay(t, secure, goroutines, settings)) })
}

// inAllWaysAtOnce is inAllWays for a test that waits for a timeout.
func inAllWaysAtOnce(t *testing.T, settings string, test func(t *testing.T, w *way)) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) { test(t, newWay(t, secure, goroutines, settings)) })
}

// expectAnswers reads answers and compares them.
func expectAnswers(t *testing.T, r *bufio.Reader, want ...string) {
	t.Helper()
	for _, body := range want {
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("got %q, then %v, want the answer %q", head+line, err, body)
			}
			head += line
		}
		got := make([]byte, len(body))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != body || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Errorf("got the answer %q %q, %v, want %q", head, got, err, body)
		}
	}
}

func TestConnectionsAreServedAlikeInAllWays(t *testing.T) {
	one := get + "\r\n"
	body := post + "Content-Length: 6\r\n\r\nabcdef"
	for _, c := range []struct {
		name, request string
		piece         int // bytes written at once; 0: all
		again         int
		want          []string
	}{
		{"kept alive", one, 0, 5, []string{"/ []"}},
		{"pipelined", strings.Repeat(one, 40), 0, 2, repeated("/ []", 40)},
		{"pipelined in odd pieces", strings.Repeat(body, 20), 37, 1, repeated("/ [abcdef]", 20)},
		{"a head byte by byte", one, 1, 2, []string{"/ []"}},
		{"a body byte by byte", body, 1, 2, []string{"/ [abcdef]"}},
		{"chunks byte by byte", coded + "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 1, 2, []string{"/ [abcdef]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inAllWays(t, "", func(t *testing.T, w *way) {
				nc := w.connect()
				r := bufio.NewReader(nc)
				for range c.again {
					for rest := c.request; rest != ""; {
						n := len(rest)
						if c.piece > 0 {
							n = min(n, c.piece)
							time.Sleep(200 * time.Microsecond) // so that it arrives by itself
						}
						io.WriteString(nc, rest[:n])
						rest = rest[n:]
					}
					expectAnswers(t, r, c.want...)
				}
			})
		})
	}
}

func repeated(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

func TestASlowReaderGetsALargeResponseWhole(t *testing.T) {
	inAllWays(t, "", func(t *testing.T, w *way) {
		slow, fast := w.connect(), w.connect()
		io.WriteString(slow, "GET /large HTTP/1.1\r\n"+host+"\r\n")
		first := make([]byte, 1)
		if _, err := slow.Read(first); err != nil {
			t.Fatal(err)
		}
		io.WriteString(fast, get+"\r\n") // while the other waits for room
		expectAnswers(t, bufio.NewReader(fast), "/ []")
		r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(first), slow), 64<<10)
		expectAnswers(t, r, strings.Repeat("0123456789abcdef", largeBody/16))
		io.WriteString(slow, get+"\r\n")
		expectAnswers(t, r, "/ []")
	})
}

func TestIdleConnectionsAreClosedInAllWays(t *testing.T) {
	t.Parallel()
	inAllWaysAtOnce(t, "keepalive_timeout 1s;", func(t *testing.T, w *way) {
		moved := false
		for try := 0; try < 4 && !moved; try++ { // a machine that is held up may ask too late
			moved = idlesAnew(t, w)
		}
		if !moved {
			t.Error("got the connection closed a second after the first request, want it after the last")
		}
		proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is still registered")
	})
}

// idlesAnew reports whether requests keep a connection open for longer than its timeout of a
// second. It fails if the connection is not closed a second after the last.
func idlesAnew(t *testing.T, w *way) bool {
	t.Helper()
	nc := w.connect()
	defer nc.Close()
	r := bufio.NewReader(nc)
	var asked time.Time
	for pause := range 4 {
		if pause > 0 {
			time.Sleep(400 * time.Millisecond)
		}
		asked = time.Now() // before the server sets the deadline
		io.WriteString(nc, get+"\r\n")
		if _, err := r.Peek(1); err != nil {
			return false
		}
		expectAnswers(t, r, "/ []")
	}
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("got %q, %v, want %v", b, err, io.EOF)
	}
	if d := time.Since(asked); d < time.Second {
		t.Errorf("closed after %s, want at least %s", d, time.Second)
	}
	return true
}

func TestShutdownInAllWays(t *testing.T) {
	t.Parallel()
	inAllWaysAtOnce(t, "", func(t *testing.T, w *way) {
		idle, active := w.connect(), w.connect()
		ir, ar := bufio.NewReader(idle), bufio.NewReader(active)
		io.WriteString(idle, get+"\r\n")
		expectAnswers(t, ir, "/ []")
		io.WriteString(active, "GET /wait HTTP/1.1\r\n"+host+"\r\n")
		<-w.entered
		ended := make(chan error, 1)
		go func() { ended <- w.Engine.Shutdown(t.Context(), lastWait) }()
		if _, err := ir.ReadByte(); err != io.EOF && !w.secure || err == nil {
			t.Errorf("the idle connection: got %v, want the end", err)
		}
		select {
		case err := <-ended:
			t.Errorf("got the shutdown's end, %v, want it to wait for the request", err)
		case <-time.After(20 * time.Millisecond):
		}
		close(w.open)
		expectAnswers(t, ar, "/wait []")
		if _, err := ar.ReadByte(); err != io.EOF {
			t.Errorf("the active connection: got %v, want %v", err, io.EOF)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// One more request on a kept connection is answered, and is the last. /after has sent its
// response before the shutdown begins, so without Connection: close.
func TestShutdownAnswersTheLastRequestInAllWays(t *testing.T) {
	inAllWays(t, "", func(t *testing.T, w *way) {
		idle, active := w.connect(), w.connect()
		ir, ar := bufio.NewReader(idle), bufio.NewReader(active)
		io.WriteString(idle, get+"\r\n")
		expectAnswers(t, ir, "/ []")
		io.WriteString(active, "GET /after HTTP/1.1\r\n"+host+"\r\n")
		expectAnswers(t, ar, "/after []")
		ended := make(chan error, 1)
		go func() { ended <- w.Engine.Shutdown(t.Context(), time.Minute) }()
		proxytest.Eventually(t, w.Engine.Draining, "not draining")
		close(w.open)
		for name, c := range map[string]struct {
			nc io.Writer
			r  *bufio.Reader
		}{"idle": {idle, ir}, "active": {active, ar}} {
			io.WriteString(c.nc, get+"\r\n")
			answer, err := io.ReadAll(c.r)
			if !bytes.Contains(answer, []byte("Connection: close")) || err != nil {
				t.Errorf(`%s: got the answer %q, %v, want "Connection: close" in it`, name, answer, err)
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// contextCut returns a context that has ended: a shutdown with it cuts all connections.
func contextCut() (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.Background(), time.Unix(1, 0))
}

func TestWhatIsLeftAtShutdownIsCutInAllWays(t *testing.T) {
	for _, c := range []struct{ name, request string }{
		{"in a head", "GET / HT"},
		{"in a body", post + "Content-Length: 9\r\n\r\nabc"},
		{"in a response", "GET /large HTTP/1.1\r\n" + host + "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inAllWays(t, "", func(t *testing.T, w *way) {
				nc := w.connect()
				io.WriteString(nc, get+"\r\n")
				expectAnswers(t, bufio.NewReaderSize(nc, 16), "/ []")
				io.WriteString(nc, c.request)
				time.Sleep(20 * time.Millisecond) // the request may be read by then, or not
				cut, cancel := contextCut()
				defer cancel()
				w.Engine.Shutdown(cut, lastWait)
				proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is still registered")
			})
		})
	}
}

func TestConnectionsWhereEachPhaseWaits(t *testing.T) {
	t.Parallel()
	proxytest.RunPausing(t, "AlikeInAllWays|ShutdownInAllWays|LastRequestInAllWays|Suspended|Upgrade", "")
}
