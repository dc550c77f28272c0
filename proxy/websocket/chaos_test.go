package websocket_test

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket"
	"alicorn/proxy/websocket/framestest"
)

// wild is a peer whose application works on another goroutine: it takes messages late, and
// sends and closes at random moments.
type wild struct {
	*echo
	t      testing.TB
	work   chan func()
	ends   atomic.Int32 // how often Closed was called
	called atomic.Int32 // how many calls of Message and Closed run
	owed   atomic.Int64 // credit of the parts that the client's socket has not taken yet
}

// wilds are the peers of a test.
type wilds struct {
	mu  sync.Mutex
	all []*wild
}

// run is the application.
func (w *wild) run(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	for f := range w.work {
		f()
		switch random.IntN(40) {
		case 0:
			w.send(strings.Repeat("more", random.IntN(5000)))
		case 1:
			w.conn.Close(nil, 1000, "enough")
		case 2:
			runtime.Gosched()
		}
	}
}

// send sends a message if there is credit for it.
func (w *wild) send(text string) {
	if cost := int64(len(text) + websocket.PartCost); w.owed.Add(cost) <= window {
		w.conn.Send(nil, []byte(text), true, true)
	} else {
		w.owed.Add(-cost)
	}
}

// Message implements websocket.Peer.
func (w *wild) Message(_ *eventloop.Turn, part []byte, _, _ bool) {
	if w.called.Add(1) != 1 || w.ends.Load() != 0 {
		w.t.Error("got Message beside another call or after Closed")
	}
	n := len(part) + websocket.PartCost
	if used := w.used.Add(int64(n)); used > window {
		w.t.Errorf("got %d of the credit in use, want at most %d", used, window)
	}
	text := string(part[:min(len(part), 1000)])
	w.work <- func() {
		if len(text)%3 == 0 && !strings.Contains(text, "\xff") {
			w.send("got " + text)
		}
		w.used.Add(int64(-n))
		w.conn.Grant(nil, n)
	}
	w.called.Add(-1)
}

// Taken implements websocket.Peer.
func (w *wild) Taken(_ *eventloop.Turn, n int) {
	if w.owed.Add(int64(-n)) < 0 || w.ends.Load() != 0 {
		w.t.Error("got Taken for more than was sent, or after Closed")
	}
}

// Closed implements websocket.Peer.
func (w *wild) Closed(*eventloop.Turn, uint16, string) {
	if w.called.Add(1) != 1 || w.ends.Add(1) != 1 {
		w.t.Error("got Closed beside another call, or twice")
	}
	w.called.Add(-1)
	close(w.work)
}

// Applications and clients do random things at the same time, and the Engine cuts some
// connections: each WebSocket ends once.
func TestWildApplicationsAndClients(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		var peers wilds
		s := start(t, secure, goroutines, short+"\nwebsocket_ping_interval 20ms; websocket_max_message 100k;", func(e *echo) websocket.Peer {
			w := &wild{echo: e, t: t, work: make(chan func(), 2*window/websocket.PartCost)}
			peers.mu.Lock()
			defer peers.mu.Unlock()
			peers.all = append(peers.all, w)
			go w.run(uint64(len(peers.all)))
			return w
		})
		const n = 40
		for round := range 2 {
			var clients sync.WaitGroup
			for i := range n {
				c := s.open(t, []string{"", "permessage-deflate; client_max_window_bits"}[i%2])
				clients.Go(func() { rampage(c, uint64(round*n+i), i%2 == 1) })
			}
			if round == 1 {
				old := s.Engine.Current()
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				s.Engine.Drain(ctx, old)
			}
			clients.Wait()
		}
		eventually(t, func() bool { return s.logged.Load()+s.failed.Load() == 2*n }, "the end of all")
		ended := 0
		for _, w := range peers.all {
			ended += int(w.ends.Load())
		}
		if opened := int(s.logged.Load()); ended != opened || opened < n {
			t.Errorf("got %d ends of %d WebSockets, want as many, at least %d", ended, opened, n)
		}
	})
}

// rampage is a client that sends random frames and leaves in a random way.
func rampage(c *client, seed uint64, compressed bool) {
	defer c.Close()
	random := rand.New(rand.NewPCG(seed, 3))
	read, buf := make(chan struct{}), make([]byte, 1<<random.IntN(15))
	go func() {
		defer close(read)
		for {
			if _, err := c.r.Read(buf); err != nil {
				return
			}
		}
	}()
	for range random.IntN(60) {
		size := random.IntN(1 << random.IntN(17))
		var p []byte
		switch random.IntN(20) {
		case 0:
			p = framestest.Frame(ping, "x")
		case 1:
			p = framestest.Bare(text, "x")
		case 2:
			p = framestest.Frame(closes, framestest.Code(1000, ""))
		case 3:
			if tcp, ok := c.Conn.(*net.TCPConn); ok && random.IntN(2) == 0 {
				tcp.SetLinger(0)
			}
			return
		default:
			p = fragments(random, strings.Repeat("y", size), compressed && random.IntN(2) == 0)
		}
		c.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := c.Write(p); err != nil {
			return
		}
	}
	c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	<-read
}
