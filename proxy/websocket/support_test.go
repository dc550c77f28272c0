package websocket_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket"
	"alicorn/proxy/websocket/framestest"
)

// patience bounds waits for events that must happen.
const patience = 60 * time.Second

// window is the credit with which a peer begins.
const window = 64 << 10

// echo is a peer that sends back each part, and gives credit as the client reads.
type echo struct {
	conn   *websocket.Conn
	closed chan string  // gets code and reason of Closed
	parts  atomic.Int64 // how many messages a deaf has got
	used   atomic.Int64 // credit that is in use
	most   atomic.Int64 // the most credit that was in use
}

// Message implements websocket.Peer.
func (e *echo) Message(t *eventloop.Turn, part []byte, text, last bool) {
	used := e.used.Add(int64(len(part) + websocket.PartCost))
	if used > e.most.Load() {
		e.most.Store(used)
	}
	e.conn.Send(t, part, text, last)
}

// Taken implements websocket.Peer.
func (e *echo) Taken(t *eventloop.Turn, n int) {
	e.used.Add(-int64(n))
	e.conn.Grant(t, n)
}

// Closed implements websocket.Peer.
func (e *echo) Closed(_ *eventloop.Turn, code uint16, reason string) {
	e.closed <- strings.TrimSpace(fmt.Sprint(code, " ", reason))
}

// site is a server for WebSockets.
type site struct {
	*proxytest.Server
	secure bool
	peers  chan *echo   // the peers of handshakes
	logged atomic.Int64 // exchanges whose WebSocket has ended
	failed atomic.Int64 // exchanges whose WebSocket was not opened
	sent   atomic.Int64 // bytes of the bodies of the logged ones
}

// short, at the start of the directives, makes the bounds of connections' ends short.
const short = "#short"

// start starts a server with directives in its location. peer makes another peer of an
// echo; if it is nil, the echo is the peer.
func start(t testing.TB, secure, goroutines bool, directives string, peer func(e *echo) websocket.Peer) *site {
	t.Helper()
	s := &site{secure: secure, peers: make(chan *echo, 2000)}
	feature := websocket.New()
	if strings.HasPrefix(directives, short) {
		feature.EndWithin(300 * time.Millisecond)
	}
	content := func(x *proxy.Exchange) error {
		if !websocket.Asks(x) {
			return x.Res.Reply(200, "text/plain", []byte("no WebSocket"))
		}
		shake, err := feature.Handshake(x)
		if err != nil {
			return err
		}
		e := &echo{closed: make(chan string, 1)}
		var p websocket.Peer = e
		if peer != nil {
			p = peer(e)
		}
		e.conn = shake.NewConn(p, window)
		if g, ok := p.(interface{ greet() }); ok {
			g.greet()
		}
		subprotocol := ""
		if all := shake.Subprotocols(); len(all) > 0 {
			subprotocol = all[0]
		}
		s.peers <- e
		err = e.conn.Open(x, subprotocol, func(x *proxy.Exchange) error {
			s.sent.Add(x.Res.Written)
			s.logged.Add(1)
			return nil
		})
		if err != nil && !x.Suspended() {
			s.failed.Add(1)
		}
		return err
	}
	options := ""
	if secure {
		options = " ssl"
	}
	s.Server = proxytest.New(t, proxytest.Config{
		Text: "server { listen 127.0.0.1:8000" + options + "; location / { echo; " + directives + "\n } }", Serve: http1.Serve, Goroutines: goroutines,
		Modules: []proxy.Module{feature.Module(), {Name: "echo", Settings: config.NewKey(func() struct{} { return struct{}{} }), Directives: []config.Directive{
			{Name: "echo", In: config.Location, Help: "h", Set: func(*config.Scope, *config.Node) error { return nil }}},
			Compile: func(_ *config.Scope, l *proxy.Location) error {
				l.SetContent(proxy.HandlerFunc(content))
				return nil
			}, Generation: proxytest.SecureSites(t)}}})
	return s
}

// client is a client of a WebSocket.
type client struct {
	net.Conn
	r       *bufio.Reader
	answers framestest.Answers
	got     []framestest.Answer // those that next has not returned yet
	last    framestest.Answer   // the one that next has returned last
	buf     [16 << 10]byte
}

// request is a handshake without the empty line at its end.
const request = framestest.Request

// connect opens a connection.
func (s *site) connect(t testing.TB) net.Conn {
	t.Helper()
	nc := s.Dial("")
	nc.SetDeadline(time.Now().Add(patience))
	if s.secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	return nc
}

// open opens a WebSocket. offer is its Sec-WebSocket-Extensions; early are bytes that follow
// the handshake at once.
func (s *site) open(t testing.TB, offer string, early ...byte) *client {
	t.Helper()
	c := &client{Conn: s.connect(t)}
	fields := ""
	if offer != "" {
		fields = "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	go c.Write(append([]byte(request+fields+"\r\n"), early...))
	c.r = bufio.NewReader(c)
	if head := readHead(t, c.r); !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Fatalf(`the handshake: got %q, want "HTTP/1.1 101 " at its beginning and %q in it`, head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
	}
	return c
}

// readHead reads the head of a response.
func readHead(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	head := ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("got %q, then %v, want a head", head, err)
		}
		head += line
	}
	return head
}

// next returns the server's next message or control frame; "eof" at the end.
func (c *client) next(t testing.TB) string {
	t.Helper()
	for len(c.got) == 0 {
		n, err := c.r.Read(c.buf[:])
		more, failed := c.answers.Read(c.buf[:n])
		if failed != nil {
			t.Fatal(failed)
		}
		if c.got = more; err != nil && len(more) == 0 {
			if err == io.EOF || strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe") {
				return "eof"
			}
			t.Fatalf("got %v, want a frame or the end", err)
		}
	}
	c.last, c.got = c.got[0], c.got[1:]
	return c.last.String()
}

// peek waits for want. next returns it again.
func (c *client) peek(t testing.TB, want string) {
	t.Helper()
	before := c.got
	if got := c.next(t); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.got = append(before, c.last)
}

// answer waits for the close want and answers it. next returns it again.
func (c *client) answer(t testing.TB, want string) {
	t.Helper()
	c.peek(t, want)
	c.Write(framestest.Frame(closes, c.last.Payload))
}

// outcome returns all frames to the close or the end.
func (c *client) outcome(t testing.TB) string {
	t.Helper()
	var words []string
	for {
		word := c.next(t)
		words = append(words, word)
		if word == "eof" || strings.HasPrefix(word, "close") {
			return strings.Join(words, "; ")
		}
	}
}

// within returns the next value of ch. It fails t if none comes within patience; what is
// the event.
func within[T any](t testing.TB, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("%s has not come", what)
	}
	return v
}

// eventually polls condition until it holds. It fails t after patience; what is the event.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come", what)
		}
	}
}

// atOnce runs f n times at the same time.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// port returns the port of s.
func port(s *site) string {
	_, port, _ := net.SplitHostPort(s.Addr(""))
	return port
}
