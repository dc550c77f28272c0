//go:build linux

package eventloop

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheHandlerIsCalledAfterIdlesTimeout(t *testing.T) {
	for _, c := range []struct {
		name    string
		again   []time.Duration // timeouts given to Idle, each on a byte
		timeout time.Duration
		least   time.Duration // the handler is called after that, at the earliest
	}{
		{"the first", nil, 30 * time.Millisecond, 30 * time.Millisecond},
		{"moved later", []time.Duration{80 * time.Millisecond}, 40 * time.Millisecond, 80 * time.Millisecond},
		{"moved earlier", []time.Duration{30 * time.Millisecond}, time.Hour, 30 * time.Millisecond},
		{"lifted, then set", []time.Duration{0, 30 * time.Millisecond}, 40 * time.Millisecond, 30 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1)
			conn, peer := pair(t, g.Next())
			idle, expired := make(chan time.Time, 1), make(chan time.Time, 1)
			again := c.again
			began := time.Now() // before the loop sets the timeout
			start(t, conn, func(turn *Turn) {
				if conn.Expired() {
					expired <- time.Now()
					conn.Close()
					return
				}
				began := turn.Now() // from which the timeout counts
				conn.TryRead(make([]byte, 2))
				d := again[0]
				again = again[1:]
				for !conn.Idle(d) {
					conn.TryRead(make([]byte, 2))
				}
				idle <- began
			}, c.timeout)
			for range c.again {
				peer.Write([]byte("x"))
				began = within(t, idle, "idling")
			}
			end := within(t, expired, "the timeout")
			if d := end.Sub(began); d < c.least {
				t.Errorf("expired after %s, want %s at least", d, c.least)
			}
		})
	}
}

func TestALongHandlersIdleTimeoutBeginsAtItsEnd(t *testing.T) {
	g := newGroup(t, 1)
	c, peer := pair(t, g.Next())
	took := make(chan time.Duration, 1)
	var idled time.Time
	start(t, c, func(turn *Turn) {
		if c.Expired() {
			took <- time.Since(idled)
			c.Close()
			return
		}
		c.TryRead(make([]byte, 2))
		end := time.Now().Add(150 * time.Millisecond)
		for time.Now().Before(end) { // the watch takes the lead
		}
		for !turn.Left() && time.Since(end) < patience {
			runtime.Gosched()
		}
		if now := turn.Now(); !turn.Left() || now.Before(end) {
			t.Errorf("got left %v and the time %s before now, want true and now", turn.Left(), end.Sub(now))
		}
		idled = time.Now()
		c.Idle(100 * time.Millisecond)
	}, 0)
	peer.Write([]byte("x"))
	if d := within(t, took, "the timeout"); d < 100*time.Millisecond {
		t.Errorf("expired %s after it began to idle, want 100 ms at least", d)
	}
}

func TestReadsAndWritesEndAtTheirDeadlines(t *testing.T) {
	const short, later = 30 * time.Millisecond, 90 * time.Millisecond
	for _, c := range []struct {
		name string
		set  func(c *Conn)
		wait func(c *Conn) error
		want time.Duration
	}{
		{"read deadline", func(c *Conn) { c.SetReadDeadline(time.Now().Add(short)) }, read1, short},
		{"read timeout", func(c *Conn) { c.SetReadTimeout(short) }, read1, short},
		{"the earlier of both", func(c *Conn) { c.SetReadTimeout(time.Hour); c.SetReadDeadline(time.Now().Add(short)) }, read1, short},
		{"both ways", func(c *Conn) { c.SetDeadline(time.Now().Add(short)) }, read1, short},
		{"past", func(c *Conn) { c.SetReadDeadline(time.Now().Add(-time.Second)) }, read1, 0},
		{"moved later", func(c *Conn) {
			c.SetReadTimeout(short)
			read1(c)
			c.SetReadTimeout(later)
		}, read1, short + later},
		{"moved earlier", func(c *Conn) { c.SetReadDeadline(time.Now().Add(time.Hour)); c.SetReadDeadline(time.Now().Add(short)) }, read1, short},
		{"write deadline", func(c *Conn) { c.SetWriteDeadline(time.Now().Add(short)) }, write1, short},
		{"write timeout", func(c *Conn) { c.SetWriteTimeout(short) }, write1, short},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1)
			conn, _ := pair(t, g.Next())
			if err := conn.StartOwned(); err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fill(t, conn)
			began := time.Now() // before the deadline is set
			c.set(conn)
			err := c.wait(conn)
			if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d < c.want {
				t.Errorf("got %v after %s, want a timeout after %s at least", err, d, c.want)
			}
		})
	}
}

func read1(c *Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func write1(c *Conn) error {
	_, err := c.Write(make([]byte, 1))
	return err
}

func TestALiftedDeadlineDoesNotEndAWait(t *testing.T) {
	g := newGroup(t, 1)
	c, peer := pair(t, g.Next())
	if err := c.StartOwned(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if err := read1(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Time{})
	time.AfterFunc(60*time.Millisecond, func() { peer.Write([]byte("x")) })
	if err := read1(c); err != nil {
		t.Error(err)
	}
}

// A timer may fire between its being set and the wait that it is for.
func TestTheShortestDeadlinesFire(t *testing.T) {
	g := newGroup(t, 1)
	rounds := make(chan bool, 8)
	for i := range 4 {
		reader, _ := pair(t, g.Next())
		if err := reader.StartOwned(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for n := range 1000 {
				reader.SetReadDeadline(time.Now().Add(time.Duration(1+(n+i)%40) * time.Microsecond))
				if err := read1(reader); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v; want %v", err, os.ErrDeadlineExceeded)
					break
				}
			}
			reader.Close()
			rounds <- true
		}()
		idler, _ := pair(t, g.Next())
		n := 0
		start(t, idler, func(*Turn) {
			if n++; n == 1000 {
				idler.Close()
				rounds <- true
				return
			}
			if n%2 == 0 {
				idler.Detach()
				runtime.Gosched()
			}
			idler.Idle(1)
		}, 1)
	}
	for range 8 {
		within(t, rounds, "each deadline")
	}
}

// A deadline that is moved later while its timer fires keeps a timer.
func TestMovingADeadlineWhileItFires(t *testing.T) {
	g := newGroup(t, 1)
	timers := &timers{loop: g.Next()}
	timers.first.Store(never)
	s := &side{}
	s.timer.reset()
	var now atomic.Int64
	done := make(chan bool)
	defer func() {
		now.Store(-1)
		<-done
	}()
	go func() {
		defer close(done)
		for n := now.Load(); n >= 0; n = now.Load() {
			timers.next(n)
		}
	}()
	for i := range int64(100000) {
		timers.set(s, 2*i+1)
		now.Store(2*i + 1) // it fires
		timers.set(s, 2*i+3)
		timers.mu.Lock()
		lost := s.timer.armed.Load() == never
		timers.mu.Unlock()
		if lost {
			t.Fatal("got no timer for the present deadline, want one")
		}
	}
}

func TestADescriptorKnowsSinceWhenItIdles(t *testing.T) {
	g := newGroup(t, 1)
	l := g.Next()
	c, peer := pair(t, l)
	before := time.Now()
	read := make(chan bool, 1)
	start(t, c, serve(c, func([]byte) { read <- true }), 0)
	first := c.Idled()
	if first.Before(before) || first.After(time.Now()) {
		t.Errorf("a new one idles since %v, want between %v and now", first, before)
	}
	peer.Write([]byte("x"))
	within(t, read, "the read")
	eventually(t, func() bool { return c.Idled().After(first) }, "idling again")
}
