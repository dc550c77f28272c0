package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// crowd has clients that have read an answer each.
type crowd struct {
	all     []net.Conn
	readers []*bufio.Reader
}

// gather makes n clients send request and read the answer.
func gather(t *testing.T, w *way, n int, request, answer string) (c crowd) {
	for range n {
		nc := w.connect()
		r := bufio.NewReader(nc)
		io.WriteString(nc, request)
		expectAnswers(t, r, answer)
		c.all, c.readers = append(c.all, nc), append(c.readers, r)
	}
	return c
}

// inCrowds runs test with many clients of a loop. test calls few at moments at which the
// connections must have no goroutines; what says what they do.
func inCrowds(t *testing.T, test func(t *testing.T, w *way, n int, few func(what string))) {
	for _, c := range []struct {
		secure bool
		n      int
	}{{false, 1000}, {true, 100}} {
		t.Run(fmt.Sprintf("secure=%v", c.secure), func(t *testing.T) {
			w := newWay(t, c.secure, false, "lingering_timeout 10m; lingering_time 10m; lingering_close always; keepalive_timeout 10m;")
			gather(t, w, 1, get+last+"\r\n", "/ []").all[0].Close() // starts the goroutines that stay
			proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "the first connection is still there")
			before := runtime.NumGoroutine() - w.Loops.Spare()
			test(t, w, c.n, func(what string) {
				proxytest.Eventually(t, func() bool { return runtime.NumGoroutine()-w.Loops.Spare() < before+20 }, "%d connections that %s have goroutines, want none", c.n, what)
				if have := w.Engine.Connections(); have != c.n {
					t.Errorf("got %d connections, want %d", have, c.n)
				}
			})
		})
	}
}

func TestConnectionsThatLingerHaveNoGoroutine(t *testing.T) {
	inCrowds(t, func(t *testing.T, w *way, n int, few func(what string)) {
		c := gather(t, w, n, get+last+"\r\n", "/ []")
		few("linger")
		for i, nc := range c.all {
			if _, err := c.readers[i].ReadByte(); err != io.EOF {
				t.Fatalf("got %v, want %v", err, io.EOF)
			}
			io.WriteString(nc, long(100))
		}
		few("linger and have read more")
		for _, nc := range c.all {
			nc.Close()
		}
		proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "connections stay after their clients have left")
	})
}

func TestConnectionsThatDropABodyHaveNoGoroutine(t *testing.T) {
	unread := strings.Replace(post, " / ", " /unread ", 1) + "Content-Length: 200\r\n\r\n"
	inCrowds(t, func(t *testing.T, w *way, n int, few func(what string)) {
		c := gather(t, w, n, unread, "/unread []")
		few("wait for a body")
		for _, nc := range c.all {
			io.WriteString(nc, long(100))
		}
		few("wait for the rest of a body")
		for i, nc := range c.all {
			io.WriteString(nc, long(100)+get+"\r\n"+unread)
			expectAnswers(t, c.readers[i], "/ []", "/unread []")
		}
		few("wait for another body")
	})
}

// A connection that drops bytes without end lets others have their turn.
func TestALingeringConnectionDoesNotKeepOthersWaiting(t *testing.T) {
	w := newWay(t, false, false, "lingering_timeout 10m; lingering_time 10m; lingering_close always;")
	c := gather(t, w, 4, get+last+"\r\n", "/ []")
	for _, nc := range c.all {
		go func() {
			for p := []byte(long(64 << 10)); ; {
				if _, err := nc.Write(p); err != nil {
					return
				}
			}
		}()
	}
	for range 100 {
		gather(t, w, 1, get+"\r\n", "/ []").all[0].Close()
	}
	for _, nc := range c.all {
		nc.Close()
	}
	proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "connections stay after their clients have left")
}

// A shutdown does not wait for a connection that lingers.
func TestAConnectionThatLingersIsCut(t *testing.T) {
	w := newWay(t, false, false, "lingering_timeout 10m; lingering_time 10m; lingering_close always;")
	c := gather(t, w, 3, get+last+"\r\n", "/ []")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.Engine.Shutdown(ended, 0)
	for _, nc := range c.all {
		io.Copy(io.Discard, nc)
		nc.Close()
	}
	proxytest.Eventually(t, func() bool { return w.Engine.Connections() == 0 }, "connections stay")
}
