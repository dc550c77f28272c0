package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// peers connect to two servers with the same settings over TCP: ours and nginx.
type peers map[string]func() net.Conn

func newPeers(t *testing.T, settings string) peers {
	s := newServer(t, settings)
	addr := "127.0.0.1:" + proxytest.Port(t)
	startNginx(t, "listen "+addr+" rcvbuf=32k; "+settings)
	return peers{
		"we": func() net.Conn { return s.Dial("127.0.0.1:8000") },
		"nginx": func() net.Conn {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { nc.Close() })
			return nc
		},
	}
}

// ending reads nc to its end. It returns the summary of what came with "end", "reset" or
// "hangs", and how long that took.
func ending(nc net.Conn, patience time.Duration) (string, time.Duration) {
	began := time.Now()
	nc.SetDeadline(began.Add(patience))
	answer, err := io.ReadAll(nc)
	how := "end"
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		how = "reset"
	case errors.Is(err, os.ErrDeadlineExceeded):
		how = "hangs"
	case err != nil:
		how = err.Error()
	}
	return summary(string(answer)) + " " + how, time.Since(began)
}

// send sends first at once, and then a byte of trickle every 20 ms, until the server takes
// no more.
func send(nc net.Conn, first, trickle string) {
	io.WriteString(nc, first)
	for i := range len(trickle) {
		time.Sleep(20 * time.Millisecond)
		if _, err := io.WriteString(nc, trickle[i:i+1]); err != nil {
			return
		}
	}
}

// Each timeout is 1 s. A trickle of 70 bytes takes longer.
func TestSlowClientsAreCutAfterTheirTimeouts(t *testing.T) {
	t.Parallel()
	const settings = "client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; lingering_timeout 100ms; "
	normal, resetting := newPeers(t, settings), newPeers(t, settings+"reset_timedout_connection on;")
	var wg sync.WaitGroup
	for _, c := range []struct{ name, first, trickle, want, reset, nginx, nginxReset string }{
		// RFC 9110 section 15.5.9: a server may send 408. nginx's manual says that it
		// does, but nginx only logs it.
		{"a request line", "GET / HT", "", "408 end", "", "- end", "- reset"},
		{"a head", get, "", "408 end", "", "- end", "- reset"},
		// What nginx does to a trickle cannot be seen from outside: it closes with unread
		// bytes, which resets the connection, and a write may have got that error.
		{"a head that trickles", get + "X: ", long(100), "408 end", "", "", ""},
		{"a line that trickles", "GET /", long(100), "408 end", "", "", ""},
		{"fields that trickle", get, strings.Repeat("X:1\r\n", 20), "408 end", "", "", ""},
		{"a body", post + "Content-Length: 3\r\n\r\nab", "", "408 end", "408/- reset", "- end", "- reset"},
		{"a chunk", coded + "3\r\na", "", "408 end", "408/- reset", "- end", "- reset"},
		{"a chunk's size", coded + "3", "", "408 end", "408/- reset", "- end", "- reset"},
		{"a trailer", coded + "0\r\nX", "", "408 end", "408/- reset", "- end", "- reset"},
		// The timeout of a body is for each read, so a trickle goes on.
		{"a body that trickles", post + last + "Content-Length: 70\r\n\r\n", long(70), "200 POST / a [" + long(70) + "] end", "same", "same", "same"},
		{"a chunk that trickles", chunked + "46\r\n", long(70) + "\r\n0\r\n\r\n", "200 POST / a [" + long(70) + "] end", "same", "same", "same"},
		// Idle connections end without 408 and without a reset.
		{"nothing", "", "", "- end", "- end", "- end", "- end"},
		{"a kept connection", get + "\r\n", "", "200 GET / a [] end", "same", "same", "same"},
	} {
		for i, servers := range []peers{normal, resetting} {
			for who, dial := range servers {
				want := map[string][]string{"we": {c.want, c.reset}, "nginx": {c.nginx, c.nginxReset}}[who][i]
				if want == "same" {
					want = c.want
				}
				if want == "" {
					continue
				}
				wg.Go(func() {
					var got string
					var took time.Duration
					for range 4 { // on a machine that is held up for a second the first tries may fail
						nc := dial()
						sent := make(chan struct{})
						go func() { defer close(sent); send(nc, c.first, c.trickle) }()
						got, took = ending(nc, patience)
						nc.Close()
						<-sent
						if slices.Contains(choices(want), got) && took > 900*time.Millisecond {
							return
						}
					}
					t.Errorf("%s, %s, with a reset %v: got %q after %v, want %q after 1 s", c.name, who, i == 1, got, took, want)
				})
			}
		}
	}
	wg.Wait()
}

// choices returns "a c" and "b c" for "a/b c".
func choices(want string) []string {
	word, rest, _ := strings.Cut(want, " ")
	a, b, ok := strings.Cut(word, "/")
	if !ok || len(a) > 3 {
		return []string{want}
	}
	return []string{a + " " + rest, b + " " + rest}
}

// A client that reads nothing is cut, with a reset if reset_timedout_connection is on.
func TestReadersThatStallAreReset(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for settings, want := range map[string]string{"": "end", "reset_timedout_connection on;": "reset"} {
		for who, dial := range newPeers(t, "send_timeout 500ms; client_max_body_size 20m; lingering_timeout 100ms; "+settings) {
			wg.Go(func() {
				got := ""
				for stall := time.Second; stall < patience; stall *= 2 { // the server may be held up
					if got = afterStall(t, dial().(*net.TCPConn), stall); strings.HasSuffix(got, " "+want) && len(got) < stalled {
						return
					}
				}
				t.Errorf("%s %s: got %d bytes, then %.20s, want %s", settings, who, len(got), got[max(0, len(got)-20):], want)
			})
		}
	}
	wg.Wait()
}

// stalled is the size of the answer that afterStall requests, in bytes.
const stalled = 16 << 20

// afterStall requests a large answer and reads nothing of it until no more has come for
// stall. It returns what ending returns then.
func afterStall(t *testing.T, nc *net.TCPConn, stall time.Duration) string {
	defer nc.Close()
	if err := nc.SetReadBuffer(1 << 20); err != nil { // the kernel's own bound may hold all of the answer
		t.Error(err)
	}
	if _, err := fmt.Fprintf(nc, "%s%sContent-Length: %d\r\n\r\n%s", post, last, stalled, long(stalled)); err != nil {
		t.Error(err)
	}
	awaitStall(t, nc, stall)
	got, _ := ending(nc, patience)
	return got
}

// awaitStall returns when no more has come for stall, or a reset has. It reads nothing.
func awaitStall(t *testing.T, nc *net.TCPConn, stall time.Duration) {
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	buf := make([]byte, stalled)
	have, since := 0, time.Now()
	for end := since.Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		n, reset := 0, false
		raw.Control(func(fd uintptr) {
			n, _, err = syscall.Recvfrom(int(fd), buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			reset = err == syscall.ECONNRESET
		})
		switch {
		case reset, n > 0 && n == have && time.Since(since) > stall:
			return
		case n != have:
			have, since = n, time.Now()
		}
	}
	t.Error("bytes have come until the end, want a stall")
}

// keepalive_time: a connection that is old closes after its next response.
func TestOldConnectionsClose(t *testing.T) {
	t.Parallel()
	for who, dial := range newPeers(t, "keepalive_time 400ms; keepalive_requests 1000000; lingering_timeout 100ms;") {
		began := time.Now() // before the server accepts
		nc := dial()
		nc.SetDeadline(began.Add(patience))
		buf := make([]byte, 4096)
		for closing := false; !closing; time.Sleep(20 * time.Millisecond) {
			if _, err := io.WriteString(nc, get+"\r\n"); err != nil {
				t.Fatalf("%s: %v", who, err)
			}
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatalf("%s: got %v after %v, want an answer", who, err, time.Since(began))
			}
			closing = bytes.Contains(buf[:n], []byte("Connection: close\r\n"))
		}
		if _, err := nc.Read(buf); err != io.EOF {
			t.Errorf("%s: got %v, want %v", who, err, io.EOF)
		}
		if took := time.Since(began); took < 400*time.Millisecond {
			t.Errorf("%s: closed after %v, want at least 400 ms", who, took)
		}
	}
}

// taken returns how long the server takes bytes that come every 10 ms after the answer to
// request. With ended, they come after the end of the server's sending side: then a server
// that is slow to close gets none of them.
func taken(t *testing.T, nc net.Conn, request string, ended bool) time.Duration {
	began := time.Now() // before the server does
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(began.Add(2 * patience))
	if _, err := nc.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if ended {
		if _, err := io.Copy(io.Discard, nc); err != nil {
			t.Fatal(err)
		}
	}
	for ; ; time.Sleep(10 * time.Millisecond) {
		if _, err := io.WriteString(nc, "x"); err != nil {
			return time.Since(began)
		}
	}
}

func TestAClosingConnectionIsReadForLingeringTime(t *testing.T) {
	t.Parallel()
	more := get + "X : y\r\n\r\nmore"
	plain := get + last + "\r\n"
	for _, c := range []struct {
		name, settings, request string
		least                   time.Duration
	}{
		{"off", "lingering_close off; lingering_time 1m;", more, 0},
		// nginx counts lingering_time in seconds of the clock.
		{"for lingering_time", "lingering_time 2s; lingering_timeout 30s;", more, 900 * time.Millisecond},
		{"not if all was read", "lingering_time 1m; lingering_timeout 30s;", plain, 0},
		{"always", "lingering_close always; lingering_time 2s; lingering_timeout 30s;", plain, 900 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			for who, dial := range newPeers(t, "client_max_body_size 1k; "+c.settings) {
				wg.Go(func() {
					if took := taken(t, dial(), c.request, c.request == plain && c.least == 0); took < c.least || took > patience {
						t.Errorf("%s: got bytes taken for %v, want %v to %v", who, took, c.least, patience)
					}
				})
			}
			wg.Wait()
		})
	}
}

// lingering_timeout bounds each wait.
func TestLingeringEndsInSilence(t *testing.T) {
	t.Parallel()
	const settings = "client_max_body_size 1k; lingering_time 1m; "
	for who, dial := range newPeers(t, settings+"lingering_timeout 30s;") {
		if err := afterSilence(dial(), 100*time.Millisecond); err != nil {
			t.Errorf("%s: a write within the timeout: got %v, want no error", who, err)
		}
	}
	for who, dial := range newPeers(t, settings+"lingering_timeout 1s;") {
		silence := 2 * time.Second
		for afterSilence(dial(), silence) == nil { // the server may be held up
			if silence *= 2; silence > patience {
				t.Errorf("%s: a write after the timeout: got no error, want a reset", who)
				break
			}
		}
	}
}

// afterSilence makes the server refuse a body on nc, and returns the error of writing after
// silence.
func afterSilence(nc net.Conn, silence time.Duration) error {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * patience))
	io.WriteString(nc, post+"Content-Length: 1000000\r\n\r\n")
	if _, err := nc.Read(make([]byte, 4096)); err != nil {
		return err
	}
	time.Sleep(silence)
	for range 3 { // the first byte to a closed connection causes the reset
		if _, err := nc.Write([]byte("x")); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}
