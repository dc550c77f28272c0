package websocket_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket/framestest"
)

func TestASilentClientGetsAPingAndThenAClose(t *testing.T) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_ping_interval 50ms; websocket_ping_timeout 3s;", nil)
		c := s.open(t, "")
		e := within(t, s.peers, "the peer")
		for _, alive := range [][]byte{framestest.Frame(pong, ""), framestest.Frame(ping, "mine"), framestest.Frame(text, "hello")} {
			for word := c.next(t); word != `ping ""`; word = c.next(t) {
				if strings.HasPrefix(word, "close") || word == "eof" {
					t.Fatalf("a client that answers got %q, want a ping", word)
				}
			}
			c.Write(alive)
		}
		for word := c.next(t); word != "close 1011"; word = c.next(t) {
			if word == "eof" {
				t.Fatal("got the end without a close")
			}
		}
		c.Close()
		if got := within(t, e.closed, "the end"); got != "1006 ping timeout" {
			t.Errorf(`the application got %q, want "1006 ping timeout"`, got)
		}
	})
}

func TestAnIntervalOf0SendsNoPings(t *testing.T) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_ping_interval 0;", nil)
		quiet := s.open(t, "")
		e := within(t, s.peers, "the peer")
		quiet.Write(framestest.Frame(text, "hello"))
		if got := quiet.next(t); got != "text hello" {
			t.Errorf(`got %q, want "text hello"`, got)
		}
		e.conn.Close(nil, 1000, "") // shortens a wait without a limit
		if got := quiet.next(t); got != "close 1000" {
			t.Errorf(`got %q, want "close 1000"`, got)
		}
	})
}

func TestARateBoundsMessagesAndPings(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_rate 1/m burst=4;", nil)
		for _, c := range []struct {
			name, want string
			frame      []byte
		}{
			{"messages", strings.Repeat("text x; ", 5) + "close 1008", framestest.Frame(text, "x")},
			{"fragmented messages", strings.Repeat("text xy; ", 5) + "close 1008", append(framestest.Frame(framestest.Text, "x"), framestest.Frame(framestest.Fin, "y")...)},
			{"pings", strings.Repeat(`pong "x"; `, 5) + "close 1008", framestest.Frame(ping, "x")},
		} {
			t.Run(c.name, func(t *testing.T) {
				nc := s.open(t, "")
				e := within(t, s.peers, "the peer")
				for range 6 {
					nc.Write(c.frame)
				}
				if got := nc.outcome(t); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				nc.Close()
				if got := within(t, e.closed, "the end"); !strings.HasPrefix(got, "1008 too many ") {
					t.Errorf(`the application got %q, want "1008 too many " at its beginning`, got)
				}
			})
		}
	})
}

func TestAConnectionThatTheServerCutsGetsAClose(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		for _, c := range []struct {
			name, client, server string
			end                  func(s *site)
		}{
			{"a reload", "close 1012", "1012 service restart", func(s *site) {
				old := s.Engine.Current()
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				s.Engine.Drain(ctx, old)
			}},
			{"a shutdown", "close 1001", "1001 server stops", func(s *site) {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				s.Engine.Shutdown(ctx, 0)
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := start(t, secure, goroutines, "", nil)
				nc := s.open(t, "")
				e := within(t, s.peers, "the peer")
				nc.Write(framestest.Frame(text, "hello"))
				if got := nc.next(t); got != "text hello" {
					t.Fatalf(`got %q, want "text hello"`, got)
				}
				c.end(s)
				if got := nc.outcome(t); got != c.client {
					t.Errorf("the client got %q, want %q", got, c.client)
				}
				if got := within(t, e.closed, "the end"); got != c.server {
					t.Errorf("the application got %q, want %q", got, c.server)
				}
			})
		}
	})
}

func TestAnIdleWebSocketHasNoGoroutine(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := start(t, secure, false, "", nil)
		if s.Loops == nil {
			return // the system has no poller
		}
		open := func() *client {
			c := s.open(t, "permessage-deflate; client_max_window_bits")
			c.Write(framestest.Frame(text|framestest.Rsv1, framestest.Deflated("hello")))
			if got := c.next(t); got != "text hello" {
				t.Fatalf(`got %q, want "text hello"`, got)
			}
			return c
		}
		open()
		before := runtime.NumGoroutine()
		for range 50 {
			open()
		}
		eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, "the end of all goroutines")
	}
}

// Many clients at once send messages of several kinds and sizes, read them when they like,
// and leave in several ways.
func TestManyWebSockets(t *testing.T) {
	many := 1000
	if raceEnabled { // the race detector is slow
		many = 100
	}
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		n := many
		if secure {
			n /= 10 // handshakes take time
		}
		s := start(t, secure, goroutines, "", nil)
		var ended atomic.Int64
		go func() {
			for range n {
				e := <-s.peers
				go func() {
					<-e.closed
					ended.Add(1)
				}()
			}
		}()
		atOnce(n, func(i int) {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			offer := []string{"", "permessage-deflate", "permessage-deflate; client_max_window_bits"}[i%3]
			c := s.open(t, offer)
			defer c.Close()
			for m := range 10 {
				want := fmt.Sprintf("%d/%d %s", i, m, strings.Repeat("z", random.IntN(3000)))
				if m == 9 {
					want += strings.Repeat("long", 20_000)
				}
				go c.Write(fragments(random, want, offer != "" && m%2 == 0))
				if c.next(t); c.last.Payload != want {
					t.Errorf("client %d: message %d: got %d other bytes, want those that were sent, %d", i, m, len(c.last.Payload), len(want))
					return
				}
			}
			leave(t, c, i)
		})
		eventually(t, func() bool { return ended.Load() == int64(n) && s.logged.Load() == int64(n) }, "the end of all")
	})
}

// fragments returns text as a message in a random number of fragments, with pongs between.
func fragments(random *rand.Rand, text string, compressed bool) (frames []byte) {
	first := byte(framestest.Text)
	if compressed {
		text = framestest.Deflated(text)
		first |= framestest.Rsv1
	}
	for {
		n := random.IntN(len(text) + 1)
		if n == len(text) {
			return append(frames, framestest.Frame(first|framestest.Fin, text)...)
		}
		frames = append(append(frames, framestest.Frame(first, text[:n])...), framestest.Frame(pong, "?")...)
		first, text = framestest.Continuation, text[n:]
	}
}

// leave ends a client in one of five ways.
func leave(t *testing.T, c *client, way int) {
	switch way % 5 {
	case 0:
		c.Write(framestest.Frame(closes, framestest.Code(1000, "")))
		if got := c.outcome(t); got != "close 1000" {
			t.Errorf(`got %q, want "close 1000"`, got)
		}
	case 1:
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	case 2:
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // a reset
		}
	case 3:
		c.Write(framestest.Frame(text, "half a message")[:7])
	case 4:
		c.Write(framestest.Bare(text, "no mask"))
		if got := c.outcome(t); got != "close 1002" {
			t.Errorf(`got %q, want "close 1002"`, got)
		}
	}
}

func TestTheEndIsBounded(t *testing.T) {
	proxytest.InAllWaysAtOnce(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, short, nil)
		for _, c := range []struct {
			name, client, server string
			end                  func(c *client, e *echo)
		}{
			{"a close that is not answered", "close 1000; eof", "1006", func(_ *client, e *echo) { e.conn.Close(nil, 1000, "") }},
			{"a client that stays after its fault", "close 1002; eof", "1002 frame without a mask", func(c *client, _ *echo) { c.Write(framestest.Bare(text, "x")) }},
		} {
			nc := s.open(t, "")
			e := within(t, s.peers, "the peer")
			c.end(nc, e)
			if got := nc.outcome(t) + "; " + nc.next(t); got != c.client {
				t.Errorf("%s: the client got %q, want %q", c.name, got, c.client)
			}
			if got := within(t, e.closed, "the end"); got != c.server {
				t.Errorf("%s: the application got %q, want %q", c.name, got, c.server)
			}
		}
	})
}

func TestAClientThatSendsMoreAfterAFaultGetsTheClose(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_max_message 1000;", nil)
		c := s.open(t, "")
		go c.Write(framestest.Frame(binary, strings.Repeat("x", 500_000)))
		if got := c.outcome(t); got != "close 1009" {
			t.Errorf(`got %q, want "close 1009"`, got)
		}
	})
}
