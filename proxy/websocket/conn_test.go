package websocket_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/websocket"
	"alicorn/proxy/websocket/framestest"
)

const (
	text   = framestest.Fin | framestest.Text
	binary = framestest.Fin | framestest.Binary
	ping   = framestest.Fin | framestest.Ping
	pong   = framestest.Fin | framestest.Pong
	closes = framestest.Fin | framestest.Close
)

func TestTheTableOverASocket(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_max_message 100000;", nil)
		cases := framestest.Cases()
		step := 1
		if secure {
			step = 9 // not all cases, as handshakes take time
		}
		atOnce(4, func(i int) {
			for at := i * step; at < len(cases); at += 4 * step {
				c := cases[at]
				nc := s.open(t, c.Offer)
				if _, err := nc.Write(c.Send); err != nil && !c.Fails() {
					t.Error(err)
				}
				nc.Write(c.Bye(len(c.Want)))
				if i%2 == 0 || strings.HasSuffix(c.Want, "eof") { // the client still reads
					nc.Conn.(interface{ CloseWrite() error }).CloseWrite()
				}
				if got := nc.outcome(t); got != c.Want {
					t.Errorf("%s: %s: got %q, want %q", c.Section, c.Name, got, c.Want)
				}
				nc.Close()
			}
		})
	})
}

func TestBytesBehindTheHandshakeAreMessages(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "", nil)
		c := s.open(t, "", framestest.Frame(text, "early")...)
		if got := c.next(t); got != "text early" {
			t.Errorf(`got %q, want "text early"`, got)
		}
		c.Write(framestest.Frame(closes, framestest.Code(4000, "bye")))
		if got := c.outcome(t); got != "close 4000" {
			t.Errorf(`got %q, want "close 4000"`, got)
		}
		if got := c.next(t); got != "eof" {
			t.Errorf(`after the close: got %q, want "eof"`, got)
		}
		e := within(t, s.peers, "the peer")
		if got := within(t, e.closed, "the end"); got != "4000 bye" {
			t.Errorf(`the application got %q, want "4000 bye"`, got)
		}
		eventually(t, func() bool { return s.logged.Load() == 1 }, "the log of the exchange")
		if got, want := s.sent.Load(), int64(len("\x81\x05early")+len("\x88\x02..")); got != want {
			t.Errorf("got %d bytes sent, want %d", got, want)
		}
	})
}

// Each end reaches the client and the application with its code.
func TestAnEndReachesBothSides(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_max_message 10;", nil)
		for _, c := range []struct {
			name           string
			end            func(c *client, e *echo)
			client, server string
		}{
			{"the client closes", func(c *client, _ *echo) { c.Write(framestest.Frame(closes, framestest.Code(1001, "so long"))) }, "close 1001", "1001 so long"},
			{"the client closes without a code", func(c *client, _ *echo) { c.Write(framestest.Frame(closes, "")) }, "close", "1005"},
			{"the application closes", func(c *client, e *echo) {
				e.conn.Close(nil, 4321, "enough")
				c.answer(t, "close 4321")
			}, "close 4321", "4321 enough"},
			{"the application closes, and the client leaves", func(c *client, e *echo) {
				e.conn.Close(nil, 1000, "")
				c.peek(t, "close 1000")
				c.Close()
			}, "close 1000", "1006"},
			{"the application closes without a code", func(c *client, e *echo) {
				e.conn.Close(nil, 1005, "")
				c.answer(t, "close")
			}, "close", "1005"},
			{"the client breaks a rule", func(c *client, _ *echo) { c.Write(framestest.Bare(text, "x")) }, "close 1002", "1002 frame without a mask"},
			{"the client sends too much", func(c *client, _ *echo) { c.Write(framestest.Frame(text, "12345678901")) }, "close 1009", "1009 message too big"},
			{"the client ends its sending side", func(c *client, _ *echo) { c.Conn.(interface{ CloseWrite() error }).CloseWrite() }, "eof", "1006"},
			{"the client leaves", func(c *client, _ *echo) { c.Close() }, "", "1006"},
		} {
			t.Run(c.name, func(t *testing.T) {
				nc := s.open(t, "")
				defer nc.Close()
				e := within(t, s.peers, "the peer")
				nc.Write(framestest.Frame(text, "hello"))
				if got := nc.next(t); got != "text hello" {
					t.Fatalf(`got %q, want "text hello"`, got)
				}
				c.end(nc, e)
				if c.client != "" {
					if got := nc.outcome(t); got != c.client {
						t.Errorf("the client got %q, want %q", got, c.client)
					}
				}
				nc.Close() // otherwise the server drops bytes of a client that has broken a rule
				if got := within(t, e.closed, "the end"); got != c.server {
					t.Errorf("the application got %q, want %q", got, c.server)
				}
				e.conn.Send(nil, []byte("too late"), true, true)
				e.conn.Close(nil, 1000, "")
				e.conn.Grant(nil, 1)
			})
		}
		eventually(t, func() bool { return s.logged.Load() == 9 }, "the log of all exchanges")
	})
}

func TestMessagesSentBeforeTheUpgradeComeAfterIt(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "", func(e *echo) websocket.Peer { return &eager{e} })
		c := s.open(t, "")
		if got := c.next(t); got != "text hello" {
			t.Errorf(`got %q, want "text hello"`, got)
		}
		c.Write(framestest.Frame(closes, ""))
		if got := c.outcome(t); got != "close" {
			t.Errorf(`got %q, want "close"`, got)
		}
	})
}

// eager is a peer that sends a message before its Conn is open.
type eager struct{ *echo }

func (e *eager) greet() { e.conn.Send(nil, []byte("hello"), true, true) }

func TestAClientThatDoesNotReadStallsOnlyItself(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "", nil)
		slow := s.open(t, "")
		e := within(t, s.peers, "the peer")
		big := framestest.Frame(binary, strings.Repeat("x", 30_000))
		sent := make(chan int)
		go func() { // stalls until the client reads
			n := 0
			for ; n < 400; n++ {
				if _, err := slow.Write(big); err != nil {
					t.Error(err)
				}
			}
			sent <- n
		}()
		eventually(t, func() bool { return e.used.Load() > window/2 }, "the stall")
		other := s.open(t, "")
		for range 20 {
			other.Write(framestest.Frame(text, "quick"))
			if got := other.next(t); got != "text quick" {
				t.Fatalf(`got %q, want "text quick"`, got)
			}
		}
		if most := e.most.Load(); most > window {
			t.Errorf("got %d of the credit in use, want at most %d", most, window)
		}
		for range 400 {
			if got := slow.next(t); got != "binary of 30000 bytes" {
				t.Fatalf(`got %q, want "binary of 30000 bytes"`, got)
			}
		}
		if n := <-sent; n != 400 {
			t.Errorf("got %d messages sent, want 400", n)
		}
		slow.Write(framestest.Frame(closes, ""))
		if got := slow.outcome(t); got != "close" {
			t.Errorf(`got %q, want "close"`, got)
		}
	})
}

// deaf is a peer that gives no credit back.
type deaf struct{ *echo }

// Message implements websocket.Peer.
func (d *deaf) Message(_ *eventloop.Turn, part []byte, _, last bool) {
	d.used.Add(int64(len(part) + websocket.PartCost))
	if last {
		d.parts.Add(1)
	}
}

func TestAnApplicationThatDoesNotReadHoldsItsClientBack(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "", func(e *echo) websocket.Peer { return &deaf{e} })
		for _, c := range []struct {
			name  string
			frame []byte
		}{
			{"large", framestest.Frame(binary, strings.Repeat("x", 50_000))},
			{"small", framestest.Frame(binary, "x")},
			{"empty", framestest.Frame(text, "")},
			{"empty fragments", append(append(framestest.Frame(framestest.Binary, ""), framestest.Frame(0, "")...), framestest.Frame(framestest.Fin, "")...)},
		} {
			t.Run(c.name, func(t *testing.T) {
				nc := s.open(t, "")
				e := within(t, s.peers, "the peer")
				go func() {
					for many := bytes.Repeat(c.frame, 1+5_000/len(c.frame)); ; {
						if _, err := nc.Write(many); err != nil {
							return
						}
					}
				}()
				eventually(t, func() bool { return e.used.Load() > window/2 }, "the use of the credit")
				before := e.parts.Load()
				e.conn.Grant(nil, 20_000)
				if c.name != "large" {
					eventually(t, func() bool { return e.parts.Load() > before }, "more messages after more credit")
				}
				if used := e.used.Load(); used > window+20_000 {
					t.Errorf("got %d of the credit in use, want at most %d", used, window+20_000)
				}
				e.conn.Close(nil, 1000, "") // is sent although the client is not read from
				for word := ""; word != "close 1000"; {
					if word = nc.next(t); word == "eof" {
						t.Fatal("got the end without a close")
					}
				}
				nc.Close()
				within(t, e.closed, "the end")
			})
		}
	})
}

func TestAPingAloneIsAnswered(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "websocket_ping_interval 1h;", nil)
		c := s.open(t, "")
		for _, want := range []string{`pong "one"`, `pong "two"`} {
			c.Write(framestest.Frame(ping, want[6:9]))
			if got := c.next(t); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestAFloodOfPingsIsAnsweredWithBoundedMemory(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		s := start(t, secure, goroutines, "", nil)
		c := s.open(t, "")
		flood := bytes.Repeat(framestest.Frame(ping, strings.Repeat("p", 125)), 1000)
		for range 40 {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.Write(flood); err != nil {
				if !os.IsTimeout(err) {
					t.Fatal(err)
				}
				return // without a loop the server does not read while it writes; TLS cannot go on after a timeout
			}
		}
		c.SetDeadline(time.Now().Add(patience))
		go c.Write(append(framestest.Frame(ping, "the last"), framestest.Frame(closes, "")...))
		answers := strings.Split(c.outcome(t), "; ")
		if n := len(answers); answers[n-2] != `pong "the last"` {
			t.Errorf("the last of %d answers: got %q, want %q", n-1, answers[n-2], `pong "the last"`)
		}
	})
}
