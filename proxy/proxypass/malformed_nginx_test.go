package proxypass

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// Words in a text that stand for actions of the origin.
const (
	closes  = "<close>" // the origin closes
	resets  = "<reset>" // it resets the connection
	silence = "<wait>"  // it says no more; the server has a short proxy_read_timeout
	drips   = "<drip>"  // it sends the rest byte by byte
)

// malformedAnswer is a malformed answer of an origin, and how this program differs from nginx
// 1.22 on purpose: the beginning of what the client sees, and why.
type malformedAnswer struct{ text, ours, why string }

// Why this program differs from nginx 1.22. A doubtful answer is a 502, and its connection is
// not used again: bytes that are a body to one server are the next answer to another.
const (
	noStatusLine = "RFC 9112, section 4: this is no status line. nginx passes it on, some of it as HTTP/0.9"
	usualReason  = "RFC 9110 gives a status without a reason its usual one"
	noField      = "RFC 9110, section 5: this is no field. nginx passes it on"
	hopByHop     = "RFC 9110, section 7.6.1: what Connection names belongs to the connection"
	badName      = "a field whose name nobody may use is left out"
	noLength     = "RFC 9112, section 6.3: the length is in doubt. nginx has refused some of these since 1.23"
	headBody     = "RFC 9110, section 9.3.2: no body follows an answer to HEAD, so that the next bytes are in doubt"
	noFraming    = "RFC 9112, section 7.1: this is no framing by chunks"
	interim      = "RFC 9110, section 15.2: an interim answer is not the answer. nginx has skipped them since 1.29"
	collected    = "a short answer goes out when it is there whole"
	stricter     = "the same rules hold for gateways as for HTTP"
	records      = "FastCGI's records say where an answer ends, so that the connection is good for the next one"
)

var malformedAnswers = slices.Concat(malformedStatusLines, malformedFields, malformedLengths, malformedBodies, interimAnswers, slowAnswers, repeatedFields, headAnswers)

// rest ends a head, with a short body.
const rest = "Content-Length: 2\r\n\r\nok"

var malformedStatusLines = []malformedAnswer{
	{"HTTP/1.1 200\r\n" + rest, `200 OK [] 2 bytes "ok"`, usualReason},
	{"HTTP/1.1 200 \r\n" + rest, `200 OK [] 2 bytes "ok"`, usualReason},
	{"HTTP/1.1  200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 20 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 2000 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 abc OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 -200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 099 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 000 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 600 Odd\r\n" + rest, "", ""},
	{"HTTP/1.1 999 Odd\r\n" + rest, "", ""},
	{"HTTP/2.0 200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.9 200 OK\r\n" + rest, "", ""},
	{"HTTP/0.9 200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.10 200 OK\r\n" + rest, "502", noStatusLine},
	{"http/1.1 200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1\t200 OK\r\n" + rest, "502", noStatusLine},
	{"HTTP 200 OK\r\n" + rest, "502", noStatusLine},
	{"ICY 200 OK\r\n" + rest + closes, "502", noStatusLine},
	{"\r\nHTTP/1.1 200 OK\r\n" + rest + closes, "502", noStatusLine},
	{" HTTP/1.1 200 OK\r\n" + rest + closes, "502", noStatusLine},
	{"HTTP/1.1 200 O\x00K\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 200 O\x7fK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 200 O\x01K\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 200 O\rK\r\n" + rest, "502", noStatusLine},
	{"HTTP/1.1 200 " + strings.Repeat("x", 10_000) + "\r\n" + rest, "", ""},
	{"HTTP/1.1 200 Ol\xe9\r\n" + rest, "", ""},
	{"200 OK\r\n" + rest + closes, "502", noStatusLine},
	{"hello, world" + closes, "502", noStatusLine},
	{"\x00\x01\x02\x03\xff\xfe" + closes, "502", noStatusLine},
	{"\x15\x03\x01\x00\x02\x02\x46" + closes, "502", noStatusLine},
	{"SSH-2.0-OpenSSH_9.2\r\n" + closes, "502", noStatusLine},
	{closes, "", ""},
	{resets, "", ""},
	{"H" + closes, "", ""},
	{"HTTP/1.1 " + closes, "", ""},
	{"HTTP/1.1 200 OK" + closes, "", ""},
	{"HTTP/1.1 200 OK\r\n" + closes, "", ""},
	{"HTTP/1.1 200 OK\r\n" + resets, "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b" + closes, "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b\r\n" + closes, "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b\r\n\r" + closes, "", ""},
}

// field is an answer with lines in its head.
func field(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n" + rest }

var malformedFields = []malformedAnswer{
	{"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok", "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\nok", "", ""},
	{field("X-A: b\rX-B: c"), "", ""},
	{field("X-A: b\r\n continued"), "", ""},
	{field("X-A: b\r\n\tcontinued"), "", ""},
	{field(" X-A: b"), "", ""},
	{field("no colon"), "", ""},
	{field("X-A : b"), "", ""},
	{field(": b"), "", ""},
	{field("X\x00A: b"), "", ""},
	{field("X-A: b\x00c"), "", ""},
	{field("X-A: b\x01c"), "502", noField},
	{field("X-A: b\x7fc"), "502", noField},
	{field("X_A: b"), "", ""},
	{field("X A: b"), "", ""},
	{field("X(A): b"), `200 OK [] 2 bytes "ok"`, badName},
	{field("X.A!#$%&'*+^`|~: b"), "", ""},
	{field("X-A: caf\xc3\xa9 \xff"), "", ""},
	{field("caf\xc3\xa9: b"), "502", noField},
	{field("X-A:"), "", ""},
	{field("X-A:   \t  b \t "), "", ""},
	{field("X-A: b\r"), "502", noField},
	{field("X-A: b\r\r"), "502", noField},
	{field(strings.Repeat("X-A: b\r\n", 300) + "X-B: c"), "", ""},
	{field("X-A: " + strings.Repeat("b", 3000)), "", ""},
	{field("X-A: " + strings.Repeat("b", 5000)), "", ""},
	{field("X-A: " + strings.Repeat("b", 100_000)), "", ""},
	{field(strings.Repeat("X", 5000) + ": b"), "", ""},
	{field("Connection: close"), "", ""},
	{field("Connection: close, keep-alive"), "", ""},
	{field("Connection: keep-alive\r\nConnection: close"), "", ""},
	{field("Connection: X-A\r\nX-A: b"), `200 OK [] 2 bytes "ok"`, hopByHop},
	{field("Keep-Alive: timeout=0"), "", ""},
	{field("Upgrade: websocket\r\nConnection: upgrade"), "", ""},
}

// sized is an answer with lines that say how long it is, and a body.
func sized(lines, body string) string {
	return "HTTP/1.1 200 OK\r\n" + lines + "\r\nContent-Type: text/plain\r\n\r\n" + body
}

const okChunked = "2\r\nok\r\n0\r\n\r\n"

var malformedLengths = []malformedAnswer{
	{sized("Content-Length: 2\r\nContent-Length: 2", "ok"), "", ""},
	{sized("Content-Length: 2\r\nContent-Length: 3", "okk"), "502", noLength},
	{sized("Content-Length: 2, 2", "ok"), "502", noLength},
	{sized("Content-Length: +2", "ok"), "502", noLength},
	{sized("Content-Length: -2", "ok"), "502", noLength},
	{sized("Content-Length: 0x2", "ok"), "502", noLength},
	{sized("Content-Length: 2.0", "ok"), "502", noLength},
	{sized("Content-Length:", "ok"+closes), "502", noLength},
	{sized("Content-Length:  2  ", "ok"), "", ""},
	{sized("Content-Length: 2 2", "ok"), "502", noLength},
	{sized("Content-Length: 002", "ok"), "", ""},
	{sized("Content-Length: 99999999999999999999", "ok"+closes), "502", noLength},
	{sized("Content-Length: 9223372036854775807", "ok"+closes), "502", noLength},
	{sized("Content-Length: 2\r\nTransfer-Encoding: chunked", okChunked), "502", noLength},
	{sized("Transfer-Encoding: chunked\r\nContent-Length: 2", okChunked), "502", noLength},
	{sized("Transfer-Encoding: gzip", "ok"+closes), "502", noLength},
	{sized("Transfer-Encoding: identity", "ok"+closes), "502", noLength},
	{sized("Transfer-Encoding: gzip, chunked", okChunked), "502", noLength},
	{sized("Transfer-Encoding: chunked, chunked", okChunked), "502", noLength},
	{sized("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", okChunked), "502", noLength},
	{sized("Transfer-Encoding: xchunked", "ok"+closes), "502", noLength},
	{sized("Transfer-Encoding: chunked;q=1", okChunked+closes), "502", noLength},
	{sized("Transfer-Encoding:", "ok"+closes), "502", noLength},
	{sized("Transfer-Encoding:  Chunked ", okChunked), "", ""},
	{sized("Transfer-Encoding: \"chunked\"", okChunked+closes), "502", noLength},
	{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + okChunked + closes, "502", noLength},
}

func chunked(body string) string { return sized("Transfer-Encoding: chunked", body) }

var malformedBodies = []malformedAnswer{
	{sized("Content-Length: 50", "ok"+closes), "502", noFraming},
	{sized("Content-Length: 50", "ok"+resets), "502", noFraming},
	{sized("Content-Length: 50000", strings.Repeat("x", 20_000)+closes), "", ""},
	{sized("Content-Length: 2", "ok and more"), "", ""},
	{sized("Content-Length: 0", "more"), "", ""},
	{sized("Content-Length: 2", "okHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"), "", ""},
	{sized("X-A: b", "until the end"+closes), "", ""},
	{sized("X-A: b", "until the end"+resets), "", ""},
	{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "", ""},
	{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + okChunked, "", ""},
	{"HTTP/1.1 204 No Content\r\n\r\nok", "", ""},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "", ""},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", "", ""},
	{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" + okChunked, "", ""},
	{"HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nok", "", ""},
	{chunked("x\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("-1\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("fffffffffffffffff\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("7fffffffffffffff\r\nok" + closes), "502", noFraming},
	{chunked("0x2\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2;a=b;c=\"d\r\"\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2;a=\"b;c\"\r\nok\r\n0;x\r\n\r\n"), "", ""},
	{chunked("2;" + strings.Repeat("x", 20_000) + "\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2 \r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2 5\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked(" 2\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2\r\nok0\r\n\r\n"), "502", noFraming},
	{chunked("2\r\nokay\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2\nok\n0\n\n"), "502", noFraming},
	{chunked("\r\n2\r\nok\r\n0\r\n\r\n"), "502", noFraming},
	{chunked("2\r\nok\r\n000\r\n\r\n"), "", ""},
	{chunked("2\r\nok\r\n0\r\n\r\nmore"), "", ""},
	{chunked("2\r\nok\r\n0\r\nX-T: u\r\n\r\n"), "", ""},
	{chunked("2\r\nok\r\n0\r\nbad trailer\r\n\r\n"), "502", noFraming},
	{chunked("2\r\nok\r\n0\r\n" + strings.Repeat("X-T: u\r\n", 5000) + "\r\n"), "502", noFraming},
	{chunked(closes), "", ""},
	{chunked("2" + closes), "", ""},
	{chunked("2\r\n" + closes), "", ""},
	{chunked("2\r\no" + closes), "", ""},
	{chunked("2\r\nok" + closes), "", ""},
	{chunked("2\r\nok\r\n" + closes), "", ""},
	{chunked("2\r\nok\r\n0" + closes), "", ""},
	{chunked("2\r\nok\r\n0\r\n" + closes), "", ""},
	{chunked("2\r\nok\r\n0\r\nX-T" + closes), "", ""},
	{chunked("2\r\nok\r\n" + resets), "", ""},
	{chunked("0\r\n\r\n"), "", ""},
}

var interimAnswers = []malformedAnswer{
	{"HTTP/1.1 100 Continue\r\n\r\n" + field("X-A: b"), `200 OK ["X-A: b"] 2 bytes "ok"`, interim},
	{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + field("X-A: b"), `200 OK ["X-A: b"] 2 bytes "ok"`, interim},
	{"HTTP/1.1 102 Processing\r\n\r\n" + field("X-A: b"), `200 OK ["X-A: b"] 2 bytes "ok"`, interim},
	{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000) + field("X-A: b"), "502", interim},
	{"HTTP/1.1 100 Continue\r\n\r\n" + closes, "502", interim},
	{"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok" + field("X-A: b"), "502", interim},
	{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nok" + closes, "502", interim},
	{"HTTP/1.1 101 Switching Protocols\r\n\r\n" + closes, "502", interim},
	{"HTTP/1.1 199 Odd\r\n\r\n" + field("X-A: b"), `200 OK ["X-A: b"] 2 bytes "ok"`, interim},
}

var slowAnswers = []malformedAnswer{
	{drips + field("X-A: b"), "", ""},
	{drips + chunked("2\r\nok\r\n3;x=y\r\nyes\r\n0\r\nX-T: u\r\n\r\n"), "", ""},
	{drips + sized("X-A: b", "until the end"+closes), "", ""},
	{silence, "", ""},
	{"HTTP/1.1 2" + silence, "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b\r\n" + silence, "", ""},
	{sized("Content-Length: 50", "ok"+silence), "504", collected},
	{sized("Content-Length: 50000", strings.Repeat("x", 20_000)+silence), "", ""},
	{chunked("2\r\nok\r\n" + silence), "", ""},
	{chunked("2\r\nok\r\n0\r\n" + silence), "", ""},
	{sized("X-A: b", "until the end"+silence), "", ""},
}

var repeatedFields = []malformedAnswer{
	{field("Location: /a\r\nLocation: /b"), "", ""},
	{field("Content-Type: text/plain\r\nContent-Type: text/html"), "", ""},
	{field("Server: a\r\nServer: b"), "", ""},
	{field("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\nDate: x"), "", ""},
	{field("ETag: \"a\"\r\nETag: \"b\""), "", ""},
	{field("Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\nLast-Modified: x"), "", ""},
	{field("Expires: 0\r\nExpires: x"), "", ""},
	{field("Cache-Control: no-cache\r\nCache-Control: private"), "", ""},
	{field("Set-Cookie: a=b\r\nSet-Cookie: c=d"), "", ""},
	{field("Vary: A\r\nVary: B"), "", ""},
	{field("Content-Encoding: gzip\r\nContent-Encoding: br"), "", ""},
	{field("WWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer"), "", ""},
	{field("Accept-Ranges: bytes\r\nAccept-Ranges: none"), "", ""},
	{field("X-Accel-Buffering: no\r\nX-Accel-Buffering: yes"), "", ""},
}

// headAnswers are answers to HEAD.
var headAnswers = []malformedAnswer{
	{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "", ""},
	{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", `200 OK [] 0 bytes ""`, headBody},
	{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "502", noLength},
	{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "502", noLength},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", ""},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + okChunked, `200 OK [] 0 bytes ""`, headBody},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", "502", noLength},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + closes, "502", noLength},
	{"HTTP/1.1 200 OK\r\n\r\n", "", ""},
	{"HTTP/1.1 200 OK\r\n\r\n" + closes, "", ""},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "", ""},
	{"HTTP/1.1 204 No Content\r\n\r\n", "", ""},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", `200 OK [] 0 bytes ""`, interim},
	{"HTTP/1.1 200 OK\r\n" + closes, "", ""},
	{"HTTP/1.1 200 OK\r\nX-A: b" + silence, "", ""},
}

// malformedOrigin plays the answers, and counts on which connection a request comes.
type malformedOrigin struct {
	*origin
	answering sync.WaitGroup // a request each, until its connection waits for the next or has ended on both sides
	mu        sync.Mutex
	requests  []int // the connection of each
}

// settle waits until the origin has sent all of its answers, and until the server has closed
// each connection that the origin has. From then on no request of the server meets a
// connection that is about to end. It returns the connections of the requests since the last
// call.
func (o *malformedOrigin) settle() []int {
	o.answering.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.requests
	o.requests = nil
	return all
}

// answer gives a request for path its answer: the one whose number is the last part of path,
// otherwise after. It returns false if the connection has ended.
func (o *malformedOrigin) answer(t *testing.T, c *peerConn, path string, answers []malformedAnswer, after string) bool {
	o.answering.Add(1)
	defer o.answering.Done()
	o.mu.Lock()
	o.requests = append(o.requests, c.number)
	o.mu.Unlock()
	text := after + closes
	if i, err := strconv.Atoi(filepath.Base(path)); err == nil {
		text = answers[i].text
	}
	return perform(t, c, text)
}

// perform sends an answer, and does its actions. It returns false if the connection has ended.
func perform(t *testing.T, c *peerConn, text string) bool {
	text, slow := strings.CutPrefix(text, drips)
	end := ""
	for _, word := range []string{closes, resets, silence} {
		if before, ok := strings.CutSuffix(text, word); ok {
			text, end = before, word
		}
	}
	if slow {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return false
			}
			time.Sleep(time.Millisecond)
		}
	} else {
		io.WriteString(c, text)
	}
	switch end {
	case silence:
		waitForEnd(t, c) // when the server has lost its patience
	case closes:
		c.Conn.(*net.TCPConn).CloseWrite()
		waitForEnd(t, c)
	case resets: // within an answer, so that the client's answer shows that the server has seen it
		waitUntilRead(t, c)
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return end == ""
}

// waitForEnd waits until the server closes c.
func waitForEnd(t *testing.T, c *peerConn) {
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection %d: the server does not close it", c.number)
	}
}

// waitUntilRead waits until the server has read all that was sent on c, which is a connection
// over IPv4, or has closed it.
func waitUntilRead(t *testing.T, c *peerConn) {
	ours, theirs := inHex(c.LocalAddr()), inHex(c.RemoteAddr())
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		table, err := os.ReadFile("/proc/self/net/tcp")
		if err != nil {
			t.Error(err)
			return
		}
		// The state comes first, then the queues of bytes that were sent and received.
		_, sent, mine := strings.Cut(string(table), " "+ours+" "+theirs+" ")
		_, received, open := strings.Cut(string(table), " "+theirs+" "+ours+" ")
		if !mine || !open || strings.HasPrefix(sent[2:], " 00000000:") && received[11:20] == ":00000000" {
			return
		}
	}
	t.Errorf("connection %d: the server does not read all of it", c.number)
}

// inHex is an address of IPv4 as the kernel writes it in its tables.
func inHex(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	ip := tcp.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
}

// startMalformed starts an origin of HTTP/1.1 that gives the answers by their number.
func startMalformed(t *testing.T, answers []malformedAnswer) *malformedOrigin {
	m := &malformedOrigin{}
	m.origin = startOrigin(t, "tcp", func(c *peerConn) {
		for r, _ := c.request(); r != nil; r, _ = c.request() {
			if !m.answer(t, c, r.URL.Path, answers, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nafter") {
				return
			}
		}
	})
	return m
}

// fate is what a client, the origin and the log see of a request to a server.
func fate(t *testing.T, dial func() net.Conn, o *malformedOrigin, log func() string, method, path string) (seen, logged string) {
	t.Helper()
	before := log()
	nc := dial()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(nc)
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: site\r\n\r\n", method, path)
	what, kept := clientSees(r, method)
	on := o.settle()
	if kept {
		fmt.Fprintf(nc, "GET /own HTTP/1.1\r\nHost: site\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		kept = err == nil && res.StatusCode == 200
	}
	after, _ := clientSees(bufio.NewReader(sendOn(dial(), "GET /x/after HTTP/1.1\r\nHost: site\r\n\r\n")), "GET")
	if !strings.HasPrefix(after, "200") {
		t.Errorf("%s: the next request: got %s, want 200", path, after)
	}
	again := o.settle()
	upstreamKept := len(on) > 0 && len(again) > 0 && again[0] == on[len(on)-1]
	seen = fmt.Sprintf("%s; client kept: %v; upstream kept: %v after %d requests", what, kept, upstreamKept, len(on))
	return seen, strings.TrimPrefix(log(), before)
}

func sendOn(nc net.Conn, text string) net.Conn {
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, text)
	return nc
}

// clientSees reads an answer, and says whether the connection may be used again.
func clientSees(r *bufio.Reader, method string) (what string, kept bool) {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return "no answer", false
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode >= 500 && strings.Contains(string(body), "<html>") {
		return res.Status, !res.Close
	}
	var fields []string
	for name, values := range res.Header {
		switch name {
		case "Date", "Server", "Connection", "Content-Length":
			continue
		}
		fields = append(fields, fmt.Sprintf("%s: %.50s", name, strings.Join(values, "|")))
	}
	slices.Sort(fields)
	if err != nil { // how much comes before the end of it is not fixed
		return fmt.Sprintf("%s %q cut", res.Status, fields), false
	}
	return fmt.Sprintf("%s %q %d bytes %.30q", res.Status, fields, len(body), body), !res.Close
}

// worst returns the most serious level of lines of a log, "" for less than a warning.
func worst(log string) string {
	for _, level := range []string{"emerg", "alert", "crit", "error", "warn"} {
		if strings.Contains(log, "["+level+"]") || strings.Contains("\n"+log, "\n"+level+": ") {
			return level
		}
	}
	return ""
}

// duel is nginx and this program with the same upstream and the same locations.
type duel struct {
	theirs, mine           func() net.Conn
	theirLog, ourLog       func() string
	theirOrigin, ourOrigin *malformedOrigin
}

// duels starts both, each with an origin of its own. In text, PASS is the upstream.
func duels(t *testing.T, start func() *malformedOrigin, text string) *duel {
	t.Helper()
	d := &duel{theirOrigin: start(), ourOrigin: start()}
	dir := proxytest.NginxDir(t)
	conf := func(o *malformedOrigin) string {
		return "upstream peers { server " + o.addr + " max_fails=0; keepalive 4; } server { listen %s; " + text + " location /own { return 200 own; } }"
	}
	proxytest.StartNginx(t, dir, "access_log off; "+fmt.Sprintf(conf(d.theirOrigin), "unix:DIR/s"))
	s := site(t, proxytest.Config{Text: fmt.Sprintf(conf(d.ourOrigin), "127.0.0.1:80"), Modules: []proxy.Module{rewrite.Module(), static.Module()}})
	d.mine = func() net.Conn { return s.Dial("") }
	d.theirs = func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	d.ourLog = s.Log.String
	d.theirLog = func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return string(text)
	}
	return d
}

// compare gives both the answer i, and reports how they differ. If they are to differ, only
// ours gets the answer: nginx would pass it on, or wait for more.
func (d *duel) compare(t *testing.T, i int, a malformedAnswer, method, path string) {
	t.Helper()
	got, ourLog := fate(t, d.mine, d.ourOrigin, d.ourLog, method, path)
	if a.ours != "" {
		if !strings.HasPrefix(got, a.ours) || strings.HasPrefix(got, "502") && worst(ourLog) != "error" {
			t.Errorf("%d: %s %.120q (%d bytes)\n is     %s; logged: %s\n wanted %s: %s", i, method, a.text, len(a.text), got, worst(ourLog), a.ours, a.why)
		}
		return
	}
	want, theirLog := fate(t, d.theirs, d.theirOrigin, d.theirLog, method, path)
	if level := worst(theirLog); level != worst(ourLog) {
		want, got = want+"; logged: "+level, got+"; logged: "+worst(ourLog)
	}
	if got != want {
		t.Errorf("%d: %s %.120q (%d bytes)\n ours  %s\n nginx %s\n our log   %.300s\n their log %.300s", i, method, a.text, len(a.text), got, want, ourLog, theirLog)
	}
}

// TestMalformedAnswersFareAsBehindNginx has both pass on answers that are not as they
// should be: the client sees the same, and both connections are kept or closed alike.
func TestMalformedAnswersFareAsBehindNginx(t *testing.T) {
	if len(malformedAnswers) < 80 {
		t.Errorf("got %d answers, want at least 80", len(malformedAnswers))
	}
	d := duels(t, func() *malformedOrigin { return startMalformed(t, malformedAnswers) },
		"proxy_http_version 1.1; proxy_set_header Connection ''; location / { proxy_pass http://peers; } location /short/ { proxy_pass http://peers; proxy_read_timeout 600ms; }")
	for i, a := range malformedAnswers {
		path := fmt.Sprintf("/x/%d", i)
		if strings.HasSuffix(a.text, silence) {
			path = fmt.Sprintf("/short/%d", i)
		}
		method := "GET"
		if i >= len(malformedAnswers)-len(headAnswers) {
			method = "HEAD"
		}
		d.compare(t, i, a, method, path)
	}
}
