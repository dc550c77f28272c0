package upstreamtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// Call is a request that has come to the origin, and what the origin does about it.
// One goroutine uses it.
type Call interface {
	// Peer is the number of the worker or connection that the request came by.
	Peer() int
	// Refuse has the peer end before it has begun with the request. Nothing else is
	// called then.
	Refuse()
	// Begin has the peer begin with the request: it may have effects from then on.
	Begin()
	// Head sends the head of the answer: a status as "200 OK", then fields, name and
	// value in turn. An answer without a Content-Length is framed by the protocol.
	Head(status string, fields ...string)
	// Body sends bytes of the body. It waits where the front does not take them, and is
	// false once nobody wants them.
	Body(data string) bool
	// End ends the answer.
	End()
	// Break has the peer end in the midst of the answer.
	Break()
	// Left waits until the origin has learnt that nobody waits for the answer.
	Left()
}

// Extras are what some protocols have besides: their Calls have these methods.
type Extras interface {
	// Interim sends the head of an interim response.
	Interim(status string, fields ...string)
	// EndWith is End with a trailer.
	EndWith(fields ...string)
}

// Start runs an origin that plays script for each request, and a server whose location
// / leads there. Answers wait for their clients in little memory and in no file. Where
// a peer ends there is another. It serves the connections that proxytest.Server.Dial makes.
type Start func(t *testing.T, script func(c Call)) *proxytest.Server

// Run runs the suite.
func Run(t *testing.T, start Start) {
	t.Run("answers", func(t *testing.T) { testAnswers(t, start) })
	t.Run("cut", func(t *testing.T) { testCut(t, start) })
	t.Run("reuse", func(t *testing.T) { testReuse(t, start) })
	t.Run("extras", func(t *testing.T) { testExtras(t, start) })
	t.Run("retry", func(t *testing.T) { testRetry(t, start) })
	t.Run("no retry", func(t *testing.T) { testNoRetry(t, start) })
	t.Run("cancel", func(t *testing.T) { testCancel(t, start) })
	t.Run("back-pressure", func(t *testing.T) { testBackPressure(t, start) })
}

// client is a client's connection.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(s *proxytest.Server) *client {
	nc := s.Dial("")
	return &client{nc, bufio.NewReader(nc)}
}

// ask sends a request and reads the head of its answer.
func (c *client) ask(t *testing.T, method string) *http.Response {
	t.Helper()
	length := ""
	if method == "POST" {
		length = "Content-Length: 0\r\n"
	}
	if _, err := fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: site\r\n%s\r\n", method, length); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// testAnswers has answers of all shapes come whole, one behind the other on a connection.
func testAnswers(t *testing.T, start Start) {
	long := strings.Repeat("0123456789", 20_000)
	for _, c := range []struct {
		name, method, status string
		fields               []string
		body                 []string
		code                 int
		want                 string // the body
		seen                 string // fields that the client sees, of those below
	}{
		{"plain", "GET", "200 OK", []string{"Content-Length", "5", "Content-Type", "a/b"}, []string{"hello"}, 200, "hello", "Content-Type: a/b"},
		{"in blocks", "GET", "200 OK", []string{"X-A", "1", "X-A", "2"}, []string{"he", "l", "lo"}, 200, "hello", "X-A: 1, X-A: 2"},
		{"long", "GET", "200 OK", []string{"Content-Length", fmt.Sprint(len(long))}, []string{long}, 200, long, ""},
		{"long, of unknown length", "GET", "404 Not Found", nil, []string{long}, 404, long, ""},
		{"more than its length", "GET", "200 OK", []string{"Content-Length", "3"}, []string{"hello"}, 200, "hel", ""},
		{"empty", "GET", "200 OK", []string{"Content-Length", "0"}, nil, 200, "", ""},
		{"HEAD", "HEAD", "200 OK", []string{"Content-Length", "5"}, nil, 200, "", ""},
		{"204", "GET", "204 No Content", []string{"X-A", "1"}, nil, 204, "", "X-A: 1"},
		{"304", "GET", "304 Not Modified", []string{"Content-Length", "5", "X-A", "1"}, nil, 304, "", "X-A: 1"},
		{"fields of the connection", "GET", "200 OK", []string{"Connection", "keep-alive, X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=5",
			"Proxy-Connection", "close", "TE", "trailers", "X-A", "1"}, []string{"hello"}, 200, "hello", "X-A: 1"},
		{"fields that are not the connection's", "GET", "407 Who Are You", []string{"Content-Length", "5", "Proxy-Authenticate", "Basic", "Trailer", "X", "Upgrade", "x"}, []string{"hello"}, 407, "hello",
			"Proxy-Authenticate: Basic, Trailer: X, Upgrade: x"},
		{"fields of the server", "GET", "200 OK", []string{"X-Accel-Buffering", "no", "X-Accel-Expires", "0", "Content-Type", "a/b;charset=c", "X-Accel-Charset", "d"},
			[]string{"hello"}, 200, "hello", "Content-Type: a/b; charset=d"},
		{"a status of its own", "GET", "299 As You Like It", []string{"Content-Length", "0"}, nil, 299, "", ""},
		{"two lengths", "GET", "200 OK", []string{"Content-Length", "5", "Content-Length", "6"}, []string{"hello"}, 502, "502", ""},
		{"no length", "GET", "200 OK", []string{"Content-Length", "5x"}, []string{"hello"}, 502, "502", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, func(o Call) {
				o.Head(c.status, c.fields...)
				for _, b := range c.body {
					if !o.Body(b) {
						return
					}
				}
				o.End()
			})
			nc := dial(s)
			for range 2 {
				res := nc.ask(t, c.method)
				body, err := io.ReadAll(res.Body)
				if res.StatusCode != c.code || err != nil || string(body) != c.want && (c.code != 502 || !strings.Contains(string(body), c.want)) {
					t.Fatalf("%s, %.100q of %d bytes, %v", res.Status, body, len(body), err)
				}
				if c.code == 502 {
					continue
				}
				if got := seen(res); got != c.seen || res.Status != c.status {
					t.Errorf("%s with %q, want %s with %q", res.Status, got, c.status, c.seen)
				}
			}
		})
	}
}

// seen returns the fields of an answer that the suite's origins send.
func seen(res *http.Response) string {
	var seen []string
	for _, name := range []string{"Content-Type", "X-Hop", "Keep-Alive", "Proxy-Connection", "TE", "Proxy-Authenticate", "Trailer", "Upgrade", "X-A", "X-Accel-Buffering", "X-Accel-Expires", "X-Accel-Charset"} {
		for _, v := range res.Header.Values(name) {
			seen = append(seen, name+": "+v)
		}
	}
	return strings.Join(seen, ", ")
}

// testCut has answers end too early. A client sees that, whatever the framing.
func testCut(t *testing.T, start Start) {
	for _, c := range []struct {
		name   string
		fields []string
	}{{"with a length", []string{"Content-Length", "100000"}}, {"without a length", nil}} {
		t.Run(c.name, func(t *testing.T) {
			var on atomic.Pointer[chan struct{}]
			s := start(t, func(o Call) {
				o.Head("200 OK", c.fields...)
				o.Body("hello")
				<-*on.Load()
				o.Break()
			})
			seen := make(chan struct{})
			on.Store(&seen)
			nc := dial(s)
			res := nc.ask(t, "GET")
			begin := make([]byte, 5)
			_, err := io.ReadFull(res.Body, begin)
			close(seen)
			if string(begin) != "hello" || err != nil {
				t.Fatalf("%q, %v: what has come is not held back", begin, err)
			}
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err == nil {
				t.Errorf("%q follows, and an end as of a complete answer", rest)
			}
		})
	}
}

// testReuse has requests, one behind the other, go to one peer.
func testReuse(t *testing.T, start Start) {
	s := start(t, func(o Call) {
		o.Head("200 OK", "Content-Length", "5", "X-Peer", fmt.Sprint(o.Peer()))
		o.Body("hello")
		o.End()
	})
	nc := dial(s)
	for i := range 5 {
		res := nc.ask(t, "GET")
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Header.Get("X-Peer") != "0" {
			t.Errorf("request %d: peer %s, %v", i, res.Header.Get("X-Peer"), err)
		}
	}
}

// testExtras has interim responses and trailers go no further than the front, and
// leave the peer fit for the next request.
func testExtras(t *testing.T, start Start) {
	s := start(t, func(o Call) {
		e, extras := o.(Extras)
		if extras {
			e.Interim("103 Early Hints", "Link", "</a>")
		}
		o.Head("200 OK", "X-Peer", fmt.Sprint(o.Peer()))
		o.Body("hello")
		if extras {
			e.EndWith("X-T", "1")
		} else {
			o.End()
		}
	})
	nc := dial(s)
	for i := range 3 {
		res := nc.ask(t, "GET")
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != 200 || string(body) != "hello" || err != nil || len(res.Trailer) > 0 || res.Header.Get("Link") != "" || res.Header.Get("X-Peer") != "0" {
			t.Errorf("request %d: %s %v, %q, %v, trailer %v", i, res.Status, res.Header, body, err, res.Trailer)
		}
	}
}

// testNoRetry has a peer end after it has begun with a request that may have had effects:
// no other gets it.
func testNoRetry(t *testing.T, start Start) {
	var calls atomic.Int32
	s := start(t, func(o Call) {
		calls.Add(1)
		o.Begin()
		o.Break()
	})
	res := dial(s).ask(t, "POST")
	if _, err := io.Copy(io.Discard, res.Body); res.StatusCode != 502 || err != nil || calls.Load() != 1 {
		t.Errorf("%s, %v after %d calls", res.Status, err, calls.Load())
	}
}

// testRetry has a peer end before it has begun with a request: another answers.
func testRetry(t *testing.T, start Start) {
	var calls atomic.Int32
	s := start(t, func(o Call) {
		if calls.Add(1) == 1 {
			o.Refuse()
			return
		}
		o.Head("200 OK", "Content-Length", "5")
		o.Body("hello")
		o.End()
	})
	res := dial(s).ask(t, "GET")
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 || string(body) != "hello" || err != nil || calls.Load() != 2 {
		t.Errorf("%s, %q, %v after %d calls", res.Status, body, err, calls.Load())
	}
}

// testCancel has a client leave in the midst of an answer: the origin learns it, and
// goes on with others.
func testCancel(t *testing.T, start Start) {
	left := make(chan struct{})
	var calls atomic.Int32
	s := start(t, func(o Call) {
		first := calls.Add(1) == 1
		o.Head("200 OK")
		o.Body("hello")
		if first {
			o.Left()
			close(left)
		}
		o.End()
	})
	nc := dial(s)
	res := nc.ask(t, "GET")
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	nc.Conn.(*net.TCPConn).SetLinger(0)
	nc.Close()
	<-left
	res = dial(s).ask(t, "GET")
	if body, err := io.ReadAll(res.Body); string(body) != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

// most is more than all buffers between an origin and its client hold together.
const most = 64 << 20

// testBackPressure has a client take nothing: the origin waits, and all that it has sent
// comes in order once the client takes it.
func testBackPressure(t *testing.T, start Start) {
	const block = 32 << 10
	var sent atomic.Int64
	var stop atomic.Bool
	s := start(t, func(o Call) {
		o.Head("200 OK")
		for i := 0; !stop.Load(); i++ {
			if !o.Body(strings.Repeat(string(rune('a'+i%26)), block)) {
				return
			}
			sent.Add(block)
		}
		o.End()
	})
	res := dial(s).ask(t, "GET")
	var before int64 = -1
	proxytest.Eventually(t, func() bool { // it has sent nothing for many looks
		for range 100 {
			if now := sent.Load(); now != before {
				before = now
				return now > most
			}
			time.Sleep(time.Millisecond)
		}
		return before > 0
	}, "the origin does not wait")
	if before > most {
		t.Errorf("the origin has sent %d bytes, of which its client has taken none", before)
	}
	stop.Store(true)
	var got int64
	p := make([]byte, block)
	for {
		_, err := io.ReadFull(res.Body, p)
		if errors.Is(err, io.EOF) {
			break
		}
		if want := byte('a' + got/block%26); err != nil || p[0] != want || p[block-1] != want {
			t.Fatalf("after %d bytes: %v, or out of order", got, err)
		}
		got += block
	}
	if got != sent.Load() {
		t.Errorf("%d of %d bytes came", got, sent.Load())
	}
}
