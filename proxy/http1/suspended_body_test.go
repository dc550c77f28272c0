package http1_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// collector is a server whose handler suspends its exchange while it waits for more of the
// body, and answers with the body.
type collector struct {
	*proxytest.Server
	secure bool
	waits  chan bool  // gets a value each time that an exchange waits for more
	failed chan error // gets the errors of reading
	sizes  chan int   // gets the size of each part of a body
}

// collection is the Continuation of one exchange.
type collection struct {
	of   *collector
	body []byte
}

// Continue reads what has come.
func (k *collection) Continue(x *proxy.Exchange) error {
	for {
		var p [100]byte
		n, err := x.TryReadBody(p[:])
		k.body = append(k.body, p[:n]...)
		switch err {
		case nil:
			k.of.sizes <- n
		case io.EOF:
			return x.Res.Reply(200, "text/plain", fmt.Appendf(nil, "[%s]", k.body))
		case proxy.ErrNotYet:
			k.of.waits <- true
			return x.Suspend(k)
		default:
			k.of.failed <- err
			return err
		}
	}
}

func newCollector(t *testing.T, secure, goroutines bool, settings string) *collector {
	c := &collector{secure: secure, waits: make(chan bool, 1000), failed: make(chan error, 1000), sizes: make(chan int, 1000)}
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return (&collection{of: c}).Continue(x) }))
		return nil
	}}
	listen := "127.0.0.1:8000"
	if secure {
		listen += " ssl"
		content.Generation = proxytest.SecureSites(t)
	}
	c.Server = proxytest.New(t, proxytest.Config{Text: "server { listen " + listen + "; lingering_timeout 50ms; " + settings + " }",
		Modules: []proxy.Module{content}, Serve: http1.Serve, Goroutines: goroutines})
	return c
}

func (c *collector) connect() (net.Conn, *bufio.Reader) {
	nc := c.Dial("127.0.0.1:8000")
	if c.secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	return nc, bufio.NewReader(nc)
}

// send sends parts, each when the server waits for it. A server with goroutines does not
// show when it waits.
func (c *collector) send(nc net.Conn, goroutines bool, parts ...string) {
	for i, part := range parts {
		if i > 0 && !goroutines {
			<-c.waits
		}
		io.WriteString(nc, part)
	}
}

// headOf returns a head of size bytes, of a request whose body has length bytes.
func headOf(size, length int) string {
	const before, after = "POST / HTTP/1.1\r\nHost: a\r\nPadding: ", "\r\n\r\n"
	field := fmt.Sprintf("\r\nContent-Length: %d", length)
	return before + strings.Repeat("p", size-len(before+field+after)) + field + after
}

func TestABodyIsReadSuspended(t *testing.T) {
	const head, chunked = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name  string
		parts []string
		want  []string // the bodies of the answers
	}{
		{"with its head", []string{head + "3\r\n\r\nabc"}, []string{"[abc]"}},
		{"behind its head", []string{head + "3\r\n\r\n", "abc"}, []string{"[abc]"}},
		{"in parts", []string{head + "9\r\n\r\nabc", "def", "ghi"}, []string{"[abcdefghi]"}},
		{"long parts", []string{head + "600\r\n\r\n" + strings.Repeat("a", 250), strings.Repeat("b", 350)}, []string{"[" + strings.Repeat("a", 250) + strings.Repeat("b", 350) + "]"}},
		{"in chunks", []string{chunked, "3\r\nabc\r\n", "2\r\nde\r\n", "0\r\n\r\n"}, []string{"[abcde]"}},
		{"in parts of chunks", []string{chunked + "1", "0\r\n0123456789", "abcdef", "\r\n0\r", "\n\r\n"}, []string{"[0123456789abcdef]"}},
		{"before another request", []string{head + "3\r\n\r\na", "bc" + head + "2\r\n\r\nde"}, []string{"[abc]", "[de]"}},
		{"after another", []string{head + "3\r\n\r\nabc" + head + "4\r\n\r\nd", "efg"}, []string{"[abc]", "[defg]"}},
		{"chunks before another request", []string{chunked + "2\r\nab", "\r\n0\r\n\r\n" + head + "1\r\n\r\n", "c"}, []string{"[ab]", "[c]"}},
		{"before many requests", []string{head + "3\r\n\r\na", "bc" + strings.Repeat(head+"1\r\n\r\nd", 200)}, append([]string{"[abc]"}, slices.Repeat([]string{"[d]"}, 200)...)},
		{"behind a head that fills its buffer", []string{headOf(4096, 3), "abc" + head + "2\r\n\r\nde"}, []string{"[abc]", "[de]"}},
		{"behind a head that leaves one byte", []string{headOf(4095, 3), "abc" + head + "2\r\n\r\nde"}, []string{"[abc]", "[de]"}},
		{"behind a head that is larger than a buffer", []string{headOf(6000, 3), "abc" + head + "2\r\n\r\nde"}, []string{"[abc]", "[de]"}},
	} {
		proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
			t.Run(c.name, func(t *testing.T) {
				s := newCollector(t, secure, goroutines, "")
				nc, r := s.connect()
				for range 3 {
					s.send(nc, goroutines, c.parts...)
					expectAnswers(t, r, c.want...)
				}
			})
		})
	}
}

// A client that sends a byte a chunk costs as few reads as one that sends large chunks.
func TestChunksThatHaveComeAreReadTogether(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, chunks string
		want         []int
	}{
		{"whole", strings.Repeat("1\r\na\r\n", 60) + "0\r\n\r\n", []int{60}},
		{"more than a buffer", strings.Repeat("1\r\na\r\n", 150) + "0\r\n\r\n", []int{100, 50}},
		{"some beyond a buffer", strings.Repeat("30\r\n"+strings.Repeat("a", 48)+"\r\n", 3) + "0\r\n\r\n", []int{100, 44}},
		{"before what is no chunk", strings.Repeat("1\r\na\r\n", 60) + "nonsense\r\n", []int{60}},
		{"before too many bytes", strings.Repeat("1\r\na\r\n", 60) + "fff\r\n", []int{60}},
	} {
		proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
			t.Run(c.name, func(t *testing.T) {
				s := newCollector(t, secure, goroutines, "client_max_body_size 1000;")
				nc, r := s.connect()
				io.WriteString(nc, head+c.chunks)
				if _, err := r.ReadString('\n'); err != nil {
					t.Fatalf("got no answer: %v", err)
				}
				var got []int
				for range len(s.sizes) {
					got = append(got, <-s.sizes)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got parts of %v bytes, want %v", got, c.want)
				}
			})
		})
	}
}

func TestABodyThatIsReadSuspendedGets100Continue(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := newCollector(t, secure, goroutines, "")
		nc, r := s.connect()
		io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		line, err := r.ReadString('\n')
		if line != "HTTP/1.1 100 Continue\r\n" || err != nil {
			t.Fatalf("got %q, %v, want %q", line, err, "HTTP/1.1 100 Continue\r\n")
		}
		r.ReadString('\n')
		io.WriteString(nc, "abc")
		expectAnswers(t, r, "[abc]")
	})
}

func TestReadingABodySuspendedFails(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, settings string
		parts          []string
		leaves         bool
		status         string // of the answer
		why            string
	}{
		{"for a client that leaves", "", []string{head + "Content-Length: 10\r\n\r\n", "abc"}, true, "", "client closed connection"},
		{"for a client that leaves between chunks", "", []string{head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"}, true, "", "client closed connection"},
		{"for a client that is silent", "client_body_timeout 100ms;", []string{head + "Content-Length: 10\r\n\r\n", "abc"}, false, "408", "timed out"},
		{"for what is no chunk", "", []string{head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "nonsense\r\n"}, false, "400", "chunk"},
		{"for too many bytes", "client_max_body_size 4;", []string{head + "Transfer-Encoding: chunked\r\n\r\n", "4\r\nabcd\r\n", "1\r\n"}, false, "413", "too large"},
	} {
		proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
			t.Run(c.name, func(t *testing.T) {
				s := newCollector(t, secure, goroutines, c.settings)
				nc, r := s.connect()
				s.send(nc, goroutines, c.parts...)
				if c.leaves {
					nc.Close()
				}
				if err := <-s.failed; !strings.Contains(err.Error(), c.why) {
					t.Errorf("got %v, want %q in it", err, c.why)
				}
				if c.leaves {
					return
				}
				if line, err := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 "+c.status) {
					t.Errorf("got the answer %q, %v, want %s", line, err, c.status)
				}
			})
		})
	}
}

func TestBodiesThatComeSlowlyHoldNoGoroutine(t *testing.T) {
	const clients = 100
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			s := newCollector(t, secure, false, "")
			before := runtime.NumGoroutine()
			type client struct {
				nc net.Conn
				r  *bufio.Reader
			}
			var all []client
			for range clients {
				nc, r := s.connect()
				all = append(all, client{nc, r})
				io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
				<-s.waits
				io.WriteString(nc, "abc")
				<-s.waits
			}
			proxytest.Eventually(t, func() bool { return runtime.NumGoroutine() < before+clients/2 }, "the connections of %d slow clients have goroutines, want none", clients)
			for _, c := range all {
				io.WriteString(c.nc, "def")
				expectAnswers(t, c.r, "[abcdef]")
			}
		})
	}
}
