//go:build linux

package eventloop

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what has to happen.
const patience = 60 * time.Second

type handlerFunc func(t *Turn)

// Ready calls f.
func (f handlerFunc) Ready(t *Turn) { f(t) }

func newGroup(t testing.TB, loops int) *Group {
	t.Helper()
	g, err := New(loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// pair returns a Conn of l that is not started, and the peer's end.
func pair(t testing.TB, l *Loop) (*Conn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "peer")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{}
	c.attach(l, fds[0])
	t.Cleanup(func() {
		nc.Close()
		c.Cut()                                     // the handler sees the end
		if c.in.handler.Load() == nil || c.Take() { // nobody had it
			c.Close()
		}
	})
	return c, nc.(*net.UnixConn)
}

// start starts c with f as its handler.
func start(t testing.TB, c *Conn, f handlerFunc, timeout time.Duration) {
	t.Helper()
	entered := handlerFunc(func(turn *Turn) {
		c.Enter(turn)
		f(turn)
	})
	if err := c.Start(entered, timeout); err != nil {
		t.Fatal(err)
	}
}

// StartOwned registers the Conn for a goroutine that owns it throughout.
func (c *Conn) StartOwned() error {
	return c.start(nil, 0)
}

// serve is a handler that gives each block it reads to f, and closes at the end.
func serve(c *Conn, f func(p []byte)) handlerFunc {
	buf := make([]byte, 512)
	return func(*Turn) {
		for {
			for c.Readable() {
				n, err := c.TryRead(buf)
				if err == unix.EAGAIN {
					break
				}
				if n == 0 || err != nil {
					c.Close()
					return
				}
				f(buf[:n])
			}
			if c.Idle(0) {
				return
			}
		}
	}
}

// within returns what comes from ch, and fails t when nothing does.
func within[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("got nothing, want %s", what)
		panic("unreachable")
	}
}

// eventually polls condition until it holds.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got nothing, want %s", what)
		}
	}
}

// fill writes to c, which nobody reads, until there is no room.
func fill(t testing.TB, c *Conn) {
	t.Helper()
	block := make([]byte, 64<<10)
	for {
		if _, err := c.TryWrite(block); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
