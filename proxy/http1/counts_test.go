package http1_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// counts are the numbers that a log has for one request.
type counts struct {
	path             string
	read, sent, body int64
}

// answers sends request, ends the sending side, and returns everything that comes back.
func answers(t *testing.T, nc net.Conn, request string) string {
	t.Helper()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	go func() {
		io.WriteString(nc, request)
		nc.(interface{ CloseWrite() error }).CloseWrite()
	}()
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// cutAnswers returns the lengths of the answers in all, and of their bodies. head says that
// they answer HEAD, so that they have no bodies.
func cutAnswers(all string, head bool) (sent, bodies []int64) {
	for interim := int64(0); all != ""; {
		i := strings.Index(all, "\r\n\r\n") + 4
		fields, n := all[:i], 0
		if strings.HasPrefix(fields, "HTTP/1.1 100 ") {
			interim, all = int64(i), all[i:]
			continue
		}
		if _, v, ok := strings.Cut(fields, "\r\nContent-Length: "); ok && !head {
			fmt.Sscan(v, &n)
		}
		sent, bodies = append(sent, interim+int64(i+n)), append(bodies, int64(n))
		interim, all = 0, all[i+n:]
	}
	return sent, bodies
}

// $request_length is as in nginx. $bytes_sent and $body_bytes_sent are what the client got.
func TestCountsAreExact(t *testing.T) {
	lines := make(chan counts, 100)
	s := proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8000; lingering_timeout 100ms; }",
		Modules: []proxy.Module{echo(), {Name: "log", Compile: func(_ *config.Scope, l *proxy.Location) error {
			l.OnLog(func(x *proxy.Exchange) {
				lines <- counts{strings.Clone(x.Req.Path), x.BytesRead(), x.BytesSent(), x.Res.Written}
			})
			return nil
		}}},
		Serve: http1.Serve,
	})
	dir := startNginx(t, "lingering_timeout 100ms;")
	for _, c := range []struct {
		name, request string
		head          bool
		read          []int64
	}{
		{"one", get + "\r\n", false, []int64{27}},
		{"empty lines before it do not count", "\r\n\r\n" + get + "\r\n", false, []int64{27}},
		{"bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", false, []int64{24}},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + host + "\r\n", true, []int64{28}},
		{"HEADs in a row", strings.Repeat("HEAD / HTTP/1.1\r\n"+host+"\r\n", 3), true, []int64{28, 28, 28}},
		{"many in a row", strings.Repeat(get+"\r\n", 4), false, []int64{27, 27, 27, 27}},
		{"differing in a row", get + "\r\nGET /longer HTTP/1.1\r\n" + host + "\r\n" + get + "\r\n", false, []int64{27, 33, 27}},
		{"a body", post + "Content-Length: 3\r\n\r\nabc", false, []int64{28 + 19 + 3}},
		{"a body, and another behind it", post + "Content-Length: 3\r\n\r\nabc" + get + "\r\n", false, []int64{50, 27}},
		{"a large body", post + "Content-Length: 20000\r\n\r\n" + long(20000), false, []int64{28 + 23 + 20000}},
		{"chunks", coded + "3\r\nabc\r\n0\r\n\r\n", false, []int64{56 + 13}},
		{"chunks with an extension and a trailer", coded + "3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n", false, []int64{56 + 23}},
		{"chunks, and another behind them", coded + "3\r\nabc\r\n0\r\n\r\n" + get + "\r\n", false, []int64{69, 27}},
		{"many chunks", coded + strings.Repeat("1\r\na\r\n", 1000) + "0\r\n\r\n", false, []int64{56 + 6005}},
		{"a long head", get + "X: " + long(5000) + "\r\n\r\n", false, []int64{27 + 5005}},
		{"100 Continue", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", false, []int64{28 + 22 + 19 + 3}},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", false, []int64{18}},
		{"a bad head", get + "X : y\r\n\r\n", false, nil},
		{"a good one and a bad one", get + "\r\n" + get + "X : y\r\n\r\n", false, nil},
		{"a bad body", coded + "x\r\n", false, nil},
		{"a body too large", post + "Content-Length: 9999999\r\n\r\n", false, []int64{28 + 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged []counts
			sent, bodies := cutAnswers(answers(t, s.Dial("127.0.0.1:8000"), c.request), c.head)
			for range sent {
				logged = append(logged, <-lines)
			}
			compareCounts(t, "we", logged, c.read, sent, bodies)

			nc, err := net.Dial("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			before := len(readLog(t, dir))
			sent, bodies = cutAnswers(answers(t, nc, c.request), c.head)
			if strings.Contains(c.request, "Expect:") { // nginx counts 100 Continue as body
				bodies[0] += int64(len("HTTP/1.1 100 Continue\r\n\r\n"))
			}
			var theirs []counts
			proxytest.Eventually(t, func() bool { theirs = readLog(t, dir)[before:]; return len(theirs) >= len(sent) }, "nginx has not logged %d requests", len(sent))
			compareCounts(t, "nginx", theirs, c.read, sent, bodies)
		})
	}
}

func readLog(t *testing.T, dir string) (all []counts) {
	text, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c counts
		if _, err := fmt.Sscanf(line, "%s %d %d %d\n", &c.path, &c.read, &c.sent, &c.body); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, c)
	}
	return all
}

func compareCounts(t *testing.T, who string, logged []counts, read, sent, bodies []int64) {
	t.Helper()
	var r, s, b []int64
	for _, l := range logged {
		r, s, b = append(r, l.read), append(s, l.sent), append(b, l.body)
	}
	if read != nil && !slices.Equal(r, read) {
		t.Errorf("%s: request_length: got %v, want %v", who, r, read)
	}
	if !slices.Equal(s, sent) {
		t.Errorf("%s: bytes_sent: got %v, want %v", who, s, sent)
	}
	if !slices.Equal(b, bodies) {
		t.Errorf("%s: body_bytes_sent: got %v, want %v", who, b, bodies)
	}
}
