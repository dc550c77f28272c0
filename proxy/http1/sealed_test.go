package http1_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// holding is a connection whose writes are held back while hold is set.
type holding struct {
	net.Conn
	hold bool
	held bytes.Buffer
}

// Write sends p, or holds it back.
func (h *holding) Write(p []byte) (int, error) {
	if h.hold {
		return h.held.Write(p)
	}
	return h.Conn.Write(p)
}

// seal returns the records that write writes.
func (h *holding) seal(write func()) []byte {
	h.hold = true
	write()
	h.hold = false
	defer h.held.Reset()
	return bytes.Clone(h.held.Bytes())
}

// shaken returns a client that has had the handshake and an answer, so that the server's
// loop waits for it.
func shaken(t *testing.T, w *way) (*tls.Conn, *holding, *bufio.Reader) {
	t.Helper()
	h := &holding{Conn: w.Dial("127.0.0.1:8000")}
	nc := tls.Client(h, &tls.Config{InsecureSkipVerify: true})
	t.Cleanup(func() { nc.Close() })
	r := bufio.NewReader(nc)
	io.WriteString(nc, get+"\r\n")
	expectAnswers(t, r, "/ []")
	return nc, h, r
}

func TestRecordsAreReadHoweverTheyArrive(t *testing.T) {
	one, body := get+"\r\n", post+"Content-Length: 6\r\n\r\nabcdef"
	for _, c := range []struct {
		name    string
		records []string
		piece   int // bytes written at once; 0: all
		want    []string
	}{
		{"a request of one", []string{one}, 0, []string{"/ []"}},
		{"two requests of one each, at once", []string{one, one}, 0, []string{"/ []", "/ []"}},
		{"many, at once", repeated(one, 60), 0, repeated("/ []", 60)},
		{"a request of three, at once", []string{body[:10], body[10:30], body[30:]}, 0, []string{"/ [abcdef]"}},
		{"one of 16 KB", []string{post + "Content-Length: 16000\r\n\r\n" + long(16000)}, 0, []string{"/ [" + long(16000) + "]"}},
		{"a request and the next one's begin", []string{one, body[:20], body[20:]}, 0, []string{"/ []", "/ [abcdef]"}},
		{"byte by byte", []string{one, body}, 1, []string{"/ []", "/ [abcdef]"}},
		{"in odd pieces", repeated(body, 20), 97, repeated("/ [abcdef]", 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, goroutines := range []bool{false, true} {
				w := newWay(t, true, goroutines, "")
				nc, h, r := shaken(t, w)
				for range 2 {
					sealed := h.seal(func() {
						for _, record := range c.records {
							io.WriteString(nc, record)
						}
					})
					for len(sealed) > 0 {
						n := len(sealed)
						if c.piece > 0 {
							n = min(n, c.piece)
							time.Sleep(200 * time.Microsecond) // so that it arrives by itself
						}
						h.Conn.Write(sealed[:n])
						sealed = sealed[n:]
					}
					expectAnswers(t, r, c.want...)
				}
			}
		})
	}
}

// A client that sends a record byte by byte keeps its connection no longer than one that
// sends nothing.
func TestPartOfARecordMovesNoDeadline(t *testing.T) {
	for _, c := range []struct{ name, settings string }{
		{"after a request", "keepalive_timeout 1s;"},
		{"before any", "client_header_timeout 5s;"}, // enough for the handshake
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWay(t, true, false, c.settings)
			began := time.Now() // before the server sets the deadline
			h := &holding{Conn: w.Dial("127.0.0.1:8000")}
			nc := tls.Client(h, &tls.Config{InsecureSkipVerify: true})
			defer nc.Close()
			if err := nc.Handshake(); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(c.settings, "keep") {
				io.WriteString(nc, get+"\r\n")
				expectAnswers(t, bufio.NewReader(nc), "/ []")
			}
			sealed := h.seal(func() { io.WriteString(nc, post+"Content-Length: 9000\r\n\r\n"+long(9000)) })
			sent := 0
			for ; sent < len(sealed) && w.Engine.Connections() > 0; sent++ { // 45 s
				h.Conn.Write(sealed[sent : sent+1])
				time.Sleep(5 * time.Millisecond)
			}
			if d := time.Since(began); d < time.Second || sent == len(sealed) {
				t.Errorf("got the close after %v and %d bytes, want it after at least 1 s and before %d bytes", d, sent, len(sealed))
			}
		})
	}
}

func TestConnectionsOverTLSThatIdleHaveNoGoroutine(t *testing.T) {
	const crowd = 40
	w := newWay(t, true, false, "")
	before := runtime.NumGoroutine() - w.Loops.Spare()
	var readers []*bufio.Reader
	var clients []*tls.Conn
	for range crowd {
		nc, _, r := shaken(t, w)
		clients, readers = append(clients, nc), append(readers, r)
	}
	for range crowd { // clients that send nothing
		nc := w.Dial("127.0.0.1:8000")
		defer nc.Close()
	}
	proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 2*crowd }, "not all are accepted")
	proxytest.Eventually(t, func() bool { return runtime.NumGoroutine()-w.Loops.Spare() < before+crowd/2 }, "%d idle connections have goroutines, want none", 2*crowd)
	for i, nc := range clients {
		io.WriteString(nc, get+"\r\n")
		expectAnswers(t, readers[i], "/ []")
	}
}

// If a handshake is in progress when the shutdown begins, the connection's first request is
// answered, and is the last.
func TestShutdownDuringAHandshake(t *testing.T) {
	w := newWay(t, true, false, "")
	h := &holding{Conn: w.Dial("127.0.0.1:8000")}
	nc := tls.Client(h, &tls.Config{InsecureSkipVerify: true})
	defer nc.Close()
	proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 1 }, "not accepted")
	ended := make(chan error, 1)
	go func() { ended <- w.Engine.Shutdown(t.Context(), patience) }()
	proxytest.Eventually(t, w.Engine.Draining, "not draining")
	io.WriteString(nc, get+"\r\n")
	answer, err := io.ReadAll(nc)
	if err != nil || !bytes.Contains(answer, []byte("Connection: close")) {
		t.Errorf(`got the answer %q, %v, want "Connection: close" in it`, answer, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A client that sends no request delays a shutdown only for lastWait.
func TestShutdownAfterAHandshake(t *testing.T) {
	t.Parallel()
	const lastWait = 3 * time.Second // in which a slow machine does the handshake
	for _, when := range []string{"before the handshake", "after the handshake"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := newWay(t, true, false, "")
			nc := tls.Client(w.Dial("127.0.0.1:8000"), &tls.Config{InsecureSkipVerify: true})
			defer nc.Close()
			shake := func() {
				if err := nc.Handshake(); err != nil {
					t.Fatal(err)
				}
			}
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 1 }, "not accepted")
			if when == "after the handshake" {
				shake()
			}
			ended := make(chan error, 1)
			go func() { ended <- w.Engine.Shutdown(t.Context(), lastWait) }()
			proxytest.Eventually(t, w.Engine.Draining, "not draining")
			if when == "before the handshake" {
				shake()
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
			case <-time.After(patience):
				t.Fatal("the server has not shut down")
			}
		})
	}
}

// close_notify comes with the last response, even if the handler still works.
func TestTheServersEndOverTLS(t *testing.T) {
	w := newWay(t, true, false, "")
	for _, c := range []struct{ name, fields, rest string }{
		{"all was read", "", ""},
		{"more is to come", "Content-Length: 3\r\n", "abc"},
	} {
		nc, _, r := shaken(t, w)
		io.WriteString(nc, "POST /after HTTP/1.1\r\n"+host+last+c.fields+"\r\n")
		expectAnswers(t, r, "/after []")
		if b, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%s: got %q, %v, want %v", c.name, b, err, io.EOF)
		}
		if n := w.Engine.Connections(); n != 1 {
			t.Errorf("%s: got %d connections while the handler works, want 1", c.name, n)
		}
		w.open <- true
		io.WriteString(nc, c.rest)
		nc.Close()
		proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "%s: the connection is still registered", c.name)
	}
}

// close_notify ends a connection with and without a request before it.
func TestTheClientsEndOverTLS(t *testing.T) {
	for _, c := range []struct{ name, request, want string }{
		{"while it idles", "", "-"},
		{"behind a request", get + "\r\n", "200 / []"},
		{"within a head", "GET / HT", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWay(t, true, false, "")
			nc, h, r := shaken(t, w)
			sealed := h.seal(func() {
				io.WriteString(nc, c.request)
				nc.CloseWrite()
			})
			h.SetWriteDeadline(time.Time{}) // which CloseWrite has set
			h.Conn.Write(sealed)
			answer, err := io.ReadAll(r)
			if got := summary(string(answer)); got != c.want || err != nil {
				t.Errorf("got the answer %q, %v, want %q", got, err, c.want)
			}
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is still registered")
		})
	}
}

// cache is a ClientSessionCache that reports the tickets that come.
type cache struct {
	tls.ClientSessionCache
	came chan bool
}

// Put implements tls.ClientSessionCache.
func (c cache) Put(string, *tls.ClientSessionState) { c.came <- true }

// The server sends the last bytes of a handshake, its tickets, before a request comes.
func TestHandshakesEndByThemselves(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := newWay(t, true, false, "")
		tickets := cache{tls.NewLRUClientSessionCache(1), make(chan bool, 8)}
		nc := tls.Client(w.Dial("127.0.0.1:8000"), &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ServerName: "a", ClientSessionCache: tickets})
		defer nc.Close()
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(nc)
		go r.Peek(1) // which reads the tickets of TLS 1.3
		select {
		case <-tickets.came:
		case <-time.After(patience):
			t.Errorf("%s: no ticket", tls.VersionName(version))
		}
		io.WriteString(nc, get+"\r\n")
		proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 1 }, "the connection is not open any more")
	}
}

// RFC 8446 section 4.6.3. crypto/tls as a client never asks for it: openssl does.
func TestKeysChangeOverTLS(t *testing.T) {
	w := newWay(t, true, false, "")
	_, port, _ := net.SplitHostPort(w.Addr("127.0.0.1:8000"))
	cmd := exec.Command("openssl", "s_client", "-connect", "127.0.0.1:"+port, "-tls1_3")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout // has its messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	until := func(text string) {
		t.Helper()
		for seen := ""; !strings.Contains(seen, text); {
			b, err := r.ReadByte()
			if seen += string(b); err != nil {
				t.Fatalf("got %q, %v, want %q in it", seen, err, text)
			}
		}
	}
	for range 3 {
		io.WriteString(in, get+"X: y\r\n\r\n")
		until("/ []")
		io.WriteString(in, "K\n") // changes the client's key and asks the server to change its own
		until("KEYUPDATE")
	}
	in.Close()
	cmd.Wait()
	proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the connection is still registered")
}

// Each byte of a record of a body comes well within the timeout; the whole record takes much
// longer.
func TestPartOfARecordDoesNotBeginATimeoutAnew(t *testing.T) {
	t.Parallel()
	s := newSecureEcho(t, "client_body_timeout 500ms; lingering_time 30s; lingering_timeout 30s;")
	wire := &holding{Conn: s.Dial("127.0.0.1:8443")}
	nc := tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n")
	record := wire.seal(func() { nc.Write(bytes.Repeat([]byte("x"), 500)) })
	left := make(chan int, 1)
	go func() {
		for i := range record {
			if _, err := wire.Conn.Write(record[i : i+1]); err != nil {
				left <- len(record) - i
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		left <- 0
	}()
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil || res.StatusCode != 408 {
		t.Fatalf("got %v, %v, want 408", res, err)
	}
	if n := <-left; n == 0 {
		t.Error("got the whole record read, want the connection closed before")
	}
}
