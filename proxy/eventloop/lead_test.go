//go:build linux

package eventloop

import (
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHandlersThatDoNotWaitRunInOneGoroutine(t *testing.T) {
	g := newGroup(t, 1)
	turns := make(chan *Turn, 20)
	for range 10 {
		c, peer := pair(t, g.Next())
		h := serve(c, func([]byte) {})
		start(t, c, func(turn *Turn) {
			turns <- turn
			h(turn)
		}, 0)
		peer.Write([]byte("x"))
	}
	first := within(t, turns, "a turn")
	for range 9 {
		if turn := within(t, turns, "a turn"); turn != first {
			t.Error("got another leader, want the same, as nobody waited")
		}
	}
}

func TestOthersAreServedWhileAHandlerIsBusy(t *testing.T) {
	for _, c := range []struct {
		name string
		busy func(c *Conn, turn *Turn, served *atomic.Bool)
	}{
		{"reading", func(c *Conn, _ *Turn, _ *atomic.Bool) { c.Read(make([]byte, 1)) }},
		{"writing", func(c *Conn, _ *Turn, _ *atomic.Bool) { c.Write(make([]byte, 8<<20)) }},
		{"writing two buffers", func(c *Conn, _ *Turn, _ *atomic.Bool) { c.WriteBoth(make([]byte, 1), make([]byte, 8<<20)) }},
		{"detached", func(c *Conn, _ *Turn, served *atomic.Bool) {
			c.Detach()
			for !served.Load() {
				runtime.Gosched()
			}
		}},
		{"computing", func(c *Conn, _ *Turn, served *atomic.Bool) {
			for end := time.Now().Add(patience); !served.Load() && time.Now().Before(end); {
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1)
			busy, one := pair(t, g.Next())
			other, two := pair(t, g.Next())
			entered, served, ended := make(chan bool), atomic.Bool{}, make(chan bool, 1)
			start(t, busy, func(turn *Turn) {
				busy.TryRead(make([]byte, 1))
				close(entered)
				c.busy(busy, turn, &served)
				if !turn.Left() {
					t.Error("got a handler that leads, want that it has left")
				}
				busy.Close()
				ended <- true
			}, 0)
			answered := make(chan bool, 10)
			start(t, other, serve(other, func([]byte) { answered <- true }), 0)
			one.Write([]byte("x"))
			within(t, entered, "the busy handler")
			two.Write([]byte("y"))
			within(t, answered, "the other handler")
			served.Store(true)
			one.Close()
			within(t, ended, "the busy handler's end")
			two.Write([]byte("z"))
			within(t, answered, "the next leader's turn")
		})
	}
}

func TestAHandlerIsAloneWhileNothingElseIsReady(t *testing.T) {
	g := newGroup(t, 1)
	l := g.Next()
	type found struct{ alone, left bool } // left: the watch has taken the lead, and the rest tells nothing
	told := make(chan found, 8)           // with those that see their peers close in the end
	handled := func(others ...net.Conn) net.Conn {
		c, peer := pair(t, l)
		h := serve(c, func([]byte) {})
		start(t, c, func(turn *Turn) {
			for _, o := range others {
				o.Write([]byte("y"))
			}
			told <- found{turn.Alone(), turn.Left()}
			h(turn)
		}, 0)
		return peer
	}
	lone := handled()
	eventually(t, func() bool {
		lone.Write([]byte("x"))
		return within(t, told, "the handler").alone
	}, "a handler alone")
	waking := handled(handled(), handled())
	eventually(t, func() bool {
		waking.Write([]byte("x"))
		first, second := within(t, told, "the handler"), within(t, told, "the first that it made ready")
		within(t, told, "the second")
		if first.alone {
			t.Error("a handler that has made others ready: got alone true, want false")
		}
		if !first.left && second.alone {
			t.Error("a handler with another one ready: got alone true, want false")
		}
		return !first.left && !second.left
	}, "a turn with all of them")
}

// What arrives while a goroutine owns the connection makes no second event.
func TestReadinessIsNeverLost(t *testing.T) {
	for _, loops := range []int{1, 3} {
		g := newGroup(t, loops)
		ln, fd := listenSocket(t)
		l, err := g.Listen(fd, func(c *Conn) {
			h := &echo{c: c, buf: make([]byte, 1+rand.IntN(3000))}
			if c.Start(h, time.Minute) != nil {
				c.Close()
			}
		}, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 48 {
			wg.Go(func() { echoes(t, ln.Addr().String(), uint64(i)) })
		}
		wg.Wait()
		l.Close()
	}
}

// echo returns what it reads, now inline, now as a goroutine.
type echo struct {
	c   *Conn
	buf []byte
}

func (e *echo) Ready(t *Turn) {
	e.c.Enter(t)
	if e.c.Expired() {
		e.c.Close()
		return
	}
	for {
		for e.c.Readable() {
			n, err := e.c.TryRead(e.buf)
			if err == unix.EAGAIN {
				break
			}
			if n == 0 || err != nil {
				e.c.Close()
				return
			}
			e.answer(e.buf[:n])
		}
		if e.c.Idle(time.Minute) {
			return
		}
	}
}

func (e *echo) answer(p []byte) {
	switch rand.IntN(8) {
	case 0:
		e.c.Detach()
		runtime.Gosched()
	case 1:
		e.c.Detach()
		if n, err := e.c.Read(e.buf[len(p):]); err == nil { // waits for more; the client has more or ends
			p = e.buf[:len(p)+n]
		}
	}
	half := rand.IntN(len(p) + 1)
	e.c.WriteBoth(p[:half], p[half:])
}

// echoes sends random blocks without waiting for answers, then ends, and
// checks that the same bytes come back.
func echoes(t *testing.T, addr string, seed uint64) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * patience))
	const total = 200 << 10
	go func() {
		r := rand.New(rand.NewPCG(seed, 1))
		for sent := 0; sent < total; {
			n := min(1+r.IntN(1<<r.IntN(14)), total-sent)
			p := make([]byte, n)
			for i := range p {
				p[i] = byte((sent + i) * 7)
			}
			if _, err := nc.Write(p); err != nil {
				return
			}
			if sent += n; r.IntN(4) == 0 {
				time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
			}
		}
		nc.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(nc)
	if err != nil || len(got) != total {
		t.Errorf("got %d bytes back, %v, want %d", len(got), err, total)
		return
	}
	for i, b := range got {
		if b != byte(i*7) {
			t.Errorf("byte %d is %d, want %d", i, b, byte(i*7))
			return
		}
	}
}

// The Group goes with its goroutines: leaders, those that wait to lead and the watch.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		g, err := New(2)
		if err != nil {
			t.Fatal(err)
		}
		var conns []*Conn
		ended := make(chan bool, 10)
		for range 6 {
			c, peer := pair(t, g.Next())
			conns = append(conns, c)
			start(t, c, func(*Turn) {
				c.TryRead(make([]byte, 1))
				c.Read(make([]byte, 1)) // hands the lead over
				c.Close()
				ended <- true
			}, 0)
			peer.Write([]byte("x"))
		}
		for _, c := range conns {
			eventually(t, func() bool { return c.state.Load()&waits != 0 }, "waiting")
		}
		for _, c := range conns {
			c.Cut()
			within(t, ended, "the end")
		}
		eventually(t, func() bool { return g.Spare() == 6 }, "all of them waiting to lead")
		g.Close()
		if n := g.Spare(); n != 0 {
			t.Errorf("%d goroutines wait to lead a Group that is closed, want 0", n)
		}
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before }, "the goroutines' end")
}

func TestCloseWaitsForLongHandlers(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 60 {
		g, err := New(1)
		if err != nil {
			t.Fatal(err)
		}
		c, peer := pair(t, g.Next())
		running := make(chan bool)
		start(t, c, func(*Turn) {
			close(running)
			for end := time.Now().Add(time.Duration(4000+i*150) * time.Microsecond); time.Now().Before(end); {
			}
			c.Close()
		}, 0)
		peer.Write([]byte("x"))
		within(t, running, "the handler")
		g.Close()
		if _, err := c.TryRead(make([]byte, 1)); err != unix.EBADF {
			t.Fatalf("Close returned before the handler: %v; want %v", err, unix.EBADF)
		}
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before }, "the goroutines' end")
}

func TestANilGroupHasNoSpare(t *testing.T) {
	var g *Group
	if g.Spare() != 0 {
		t.Errorf("a nil Group: got %d spare goroutines, want none", g.Spare())
	}
}
