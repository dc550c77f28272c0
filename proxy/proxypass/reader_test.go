package proxypass

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// patternOf is a body of n bytes.
func patternOf(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }

// readersOrigin answers by one protocol.
type readersOrigin struct {
	name, pass string // the network of startOrigin, and the family of directives
	network    string
	read       func(c *peerConn) bool // reads a request
	head, tail string                 // of an answer
	part       func(data string) string
}

var readersOrigins = []*readersOrigin{
	{name: "http", pass: "proxy", network: "tcp", read: readHTTP, head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", tail: "0\r\n\r\n",
		part: func(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }},
	{name: "http over TLS", pass: "proxy", network: "tls", read: readHTTP, head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", tail: "0\r\n\r\n",
		part: func(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }},
	{name: "fastcgi", pass: "fastcgi", network: "tcp", read: func(c *peerConn) bool { return readFastCGI(c.r) != nil },
		head: stdoutRecord("Status: 200 OK\r\n\r\n"), tail: endRecord, part: stdoutRecord},
}

func readHTTP(c *peerConn) bool {
	r, _ := c.request()
	return r != nil
}

// answer writes an answer in pieces, but not its end.
func (o *readersOrigin) answer(w io.Writer, body string) {
	io.WriteString(w, o.head)
	for ; body != ""; body = body[min(len(body), 10_000):] {
		io.WriteString(w, o.part(body[:min(len(body), 10_000)]))
	}
}

// serve answers each request of a connection with body.
func (o *readersOrigin) serve(body string) func(c *peerConn) {
	return func(c *peerConn) {
		for o.read(c) {
			o.answer(c, body)
			io.WriteString(c, o.tail)
		}
	}
}

// site serves what an origin of this kind gives. A second request waits until the peer is
// free.
func (o *readersOrigin) site(t *testing.T, from *origin, settings string, secure, goroutines bool) *proxytest.Server {
	ssl, scheme := "", ""
	if secure {
		ssl = " ssl"
	}
	if o.pass == "proxy" {
		scheme, _, _ = strings.Cut(from.url, "//")
		scheme += "//"
	} else {
		settings += " fastcgi_keep_conn on;"
	}
	return site(t, proxytest.Config{Goroutines: goroutines, Modules: []proxy.Module{{Name: "certificates", Generation: proxytest.SecureSites(t)}, endings()},
		Text: fmt.Sprintf("upstream u { server %s max_conns=1; queue 9 timeout=30s; } server { listen 127.0.0.1:80 %s; lingering_timeout 50ms; location / { %s_pass %su; %s } }",
			from.addr, ssl, o.pass, scheme, settings)})
}

// reader is a client that reads nothing at first.
type reader struct {
	net.Conn
	tcp *net.TCPConn
}

// newReader returns a client for which the sockets hold some 50 KB.
func newReader(t *testing.T, s *proxytest.Server, secure bool) *reader {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096), unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400))
		})
		return errors.Join(failed, err)
	}}
	nc, err := d.Dial("tcp", s.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	r := &reader{nc, nc.(*net.TCPConn)}
	if secure {
		r.Conn = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	io.WriteString(r.Conn, get("/"))
	return r
}

// inOrder returns two clients: the peer has the request of the first before the second asks.
func inOrder(t *testing.T, s *proxytest.Server, from *origin, secure bool) (first, second *reader) {
	t.Helper()
	first = newReader(t, s, secure)
	proxytest.Eventually(t, func() bool { return from.accepted() == 1 }, "the peer is not asked")
	return first, newReader(t, s, secure)
}

// body reads an answer.
func (r *reader) body() (string, error) {
	r.tcp.SetReadBuffer(1 << 20)
	res, err := http.ReadResponse(bufio.NewReader(r.Conn), nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// expect compares the answer of a client that reads now.
func (r *reader) expect(t *testing.T, want string) {
	t.Helper()
	if got, err := r.body(); err != nil || got != want {
		t.Errorf("got a body of %d bytes, %v; want %d bytes", len(got), err, len(want))
	}
}

// inReaderWays runs test for all origins, and clients in all ways.
func inReaderWays(t *testing.T, test func(t *testing.T, o *readersOrigin, secure, goroutines bool)) {
	for _, o := range readersOrigins {
		t.Run(o.name, func(t *testing.T) {
			proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) { test(t, o, secure, goroutines) })
		})
	}
}

// The next request gets the connection to the peer while the client of the first one has
// read nothing.
func TestAPeerThatHasAnsweredIsFreeThoughItsClientReadsNothing(t *testing.T) {
	inReaderWays(t, func(t *testing.T, o *readersOrigin, secure, goroutines bool) {
		for _, size := range []int{64 << 10, 1 << 20} {
			want := patternOf(size)
			from := startOrigin(t, o.network, o.serve(want))
			s := o.site(t, from, "", secure, goroutines)
			first, second := inOrder(t, s, from, secure)
			second.expect(t, want)
			third := newReader(t, s, secure)
			first.expect(t, want)
			third.expect(t, want)
			if n := from.accepted(); n != 1 {
				t.Errorf("%d bytes: %d connections, want 1", size, n)
			}
		}
	})
}

// The peer is free before its client has the end of the answer. Here it does not become free,
// as the test holds the lock of the kept connections: so the client must wait.
func TestAClientWithItsWholeAnswerFindsThePeerFree(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		want, asked, answer := patternOf(300_000), make(chan bool), make(chan bool)
		from := startOrigin(t, "tcp", func(pc *peerConn) {
			for r, _ := pc.request(); r != nil; r, _ = pc.request() {
				asked <- true
				<-answer
				fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(want), want)
			}
		})
		cfg.Text = "upstream u { server " + from.addr + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"
		s := site(t, cfg)
		got := make(chan string, 1)
		go func() {
			_, body, _ := fetch(s, s.Addr(""), get("/"))
			got <- body
		}()
		<-asked
		lanes := groupsOf(s.Engine.Current().Resources)[0].lanes
		for i := range lanes {
			lanes[i].mu.Lock()
		}
		answer <- true
		select {
		case body := <-got:
			t.Errorf("got all %d bytes while the peer was not free, want that the last come later", len(body))
			got <- body
		case <-time.After(100 * time.Millisecond): // many times as long as an answer takes
		}
		for i := range lanes {
			lanes[i].mu.Unlock()
		}
		if body := <-got; body != want {
			t.Errorf("got %d bytes, want %d", len(body), len(want))
		}
	})
}

// So it is for a client that limit_rate slows down.
func TestAPeerThatHasAnsweredIsFreeThoughItsClientIsLimited(t *testing.T) {
	inReaderWays(t, func(t *testing.T, o *readersOrigin, secure, goroutines bool) {
		from := startOrigin(t, o.network, o.serve(patternOf(100_000)))
		s := o.site(t, from, "limit_rate 10;", secure, goroutines)
		for range 3 {
			if _, err := io.ReadFull(newReader(t, s, secure).Conn, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		if n := from.accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// A client that leaves before it has read what it waits for takes nothing with it.
func TestAClientThatLeavesItsAnswerLeavesTheConnectionToThePeer(t *testing.T) {
	inReaderWays(t, func(t *testing.T, o *readersOrigin, secure, goroutines bool) {
		want := patternOf(1 << 20)
		from := startOrigin(t, o.network, o.serve(want))
		s := o.site(t, from, "", secure, goroutines)
		first, second := inOrder(t, s, from, secure)
		second.expect(t, want)
		first.tcp.SetLinger(0)
		first.tcp.Close()
		proxytest.Eventually(t, func() bool { return strings.Count(s.Log.String(), "the exchange has ended") == 2 }, "the request has not ended")
		newReader(t, s, secure).expect(t, want)
		if n := from.accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// A peer that breaks off is free for the next request as well, by another connection; the
// client gets what has come, and sees that more is missing.
func TestAPeerThatBreaksOffIsFreeThoughItsClientReadsNothing(t *testing.T) {
	inReaderWays(t, func(t *testing.T, o *readersOrigin, secure, goroutines bool) {
		want := patternOf(1 << 20)
		from := startOrigin(t, o.network, func(c *peerConn) {
			if c.number > 0 {
				o.serve(want)(c)
			} else if o.read(c) {
				o.answer(c, want)
			}
		})
		s := o.site(t, from, "", secure, goroutines)
		first, second := inOrder(t, s, from, secure)
		second.expect(t, want)
		if body, err := first.body(); err == nil || !strings.HasPrefix(want, body) {
			t.Errorf("got a body of %d bytes, %v; want the beginning of %d bytes and an error", len(body), err, len(want))
		}
		s.Log.Wait(t, "while reading upstream")
		if n := from.accepted(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

// Answers whose sizes are those of buffers come whole, in memory and in files, to a client
// that reads once the peer is free.
func TestAnswersAtTheBordersOfBuffersComeWhole(t *testing.T) {
	for _, o := range readersOrigins {
		t.Run(o.name, func(t *testing.T) {
			ways(t, func(t *testing.T, cfg proxytest.Config) {
				for _, border := range []int{8 << 10, 32 << 10, 4*(32<<10) - 1, 64 << 10, 128 << 10} {
					for size := border - 1; size <= border+1; size++ {
						want := patternOf(size)
						from := startOrigin(t, o.network, o.serve(want))
						s := o.site(t, from, o.pass+"_buffers 4 16k;", false, cfg.Goroutines)
						first := newReader(t, s, false)
						newReader(t, s, false).expect(t, want)
						first.expect(t, want)
						if n := from.accepted(); n != 1 {
							t.Errorf("%d bytes: %d connections, want 1", size, n)
						}
					}
				}
			})
		})
	}
}

// Where answers are not buffered, or only in memory, the peer waits for the client.
func TestAPeerWaitsForAClientWhoseAnswerIsNotKept(t *testing.T) {
	for _, c := range []struct{ name, settings string }{
		{"no buffering", "proxy_buffering off;"},
		{"no file", "proxy_max_temp_file_size 0;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
				want, blocked := patternOf(8<<20), make(chan bool, 1)
				o := readersOrigins[0]
				from := startOrigin(t, "tcp", func(pc *peerConn) {
					for o.read(pc) {
						fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(want))
						n := pourInto(pc, want)
						blocked <- n < len(want)
						io.WriteString(pc, want[n:])
					}
				})
				s := o.site(t, from, c.settings, secure, goroutines)
				first := newReader(t, s, secure)
				if !<-blocked {
					t.Error("the peer has sent all of its answer, want it to wait for the client")
				}
				first.expect(t, want)
				second := newReader(t, s, secure)
				<-blocked
				second.expect(t, want)
				if n := from.accepted(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

// pourInto writes as much of text as is taken, and returns how much that was.
func pourInto(pc *peerConn, text string) (done int) {
	defer pc.SetWriteDeadline(time.Now().Add(patience))
	for done < len(text) {
		pc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := io.WriteString(pc, text[done:min(len(text), done+64<<10)])
		if done += n; err != nil {
			break
		}
	}
	return done
}
