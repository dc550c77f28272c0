//go:build linux

package eventloop

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counter is a Source fed through memory: a producer adds, and makes event
// ready only when it was told that the Loop sleeps.
type counter struct {
	event   *Descriptor
	added   atomic.Int64
	taken   atomic.Int64
	asleep  atomic.Bool
	rings   atomic.Int64
	polls   atomic.Int64
	expects atomic.Bool
	slow    func(t *Turn) // done with each piece
}

func newCounter(t testing.TB, l *Loop) *counter {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{}
	if c.event, err = l.Add(fd, nil, 0); err != nil {
		t.Fatal(err)
	}
	c.asleep.Store(true)
	l.AddSource(c)
	t.Cleanup(func() {
		l.RemoveSource(c)
		c.event.Close()
	})
	return c
}

func (c *counter) add() {
	c.added.Add(1)
	if c.asleep.Load() {
		c.rings.Add(1)
		unix.Write(c.event.fd, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// Poll takes all there is.
func (c *counter) Poll(t *Turn) (worked bool) {
	c.polls.Add(1)
	for !t.Left() {
		n := c.taken.Load()
		if n == c.added.Load() {
			return worked
		}
		if c.taken.CompareAndSwap(n, n+1) {
			worked = true
			if c.slow != nil {
				c.slow(t)
			}
		}
	}
	return worked
}

// Sleep notes whether add has to ring.
func (c *counter) Sleep(asleep bool) (pending bool) {
	c.asleep.Store(asleep)
	return c.added.Load() != c.taken.Load()
}

// Expects returns whether the test expects work.
func (c *counter) Expects() bool { return c.expects.Load() }

func TestASourcesWorkIsNeverLost(t *testing.T) {
	for _, c := range []struct {
		name    string
		expects bool
		slow    func(t *Turn)
	}{
		{"inline", false, nil},
		{"inline, expected", true, nil},
		{"detaching", true, func(t *Turn) {
			if rand.IntN(8) == 0 {
				t.Detach()
				time.Sleep(time.Microsecond)
			}
		}},
		{"long", true, func(t *Turn) {
			if rand.IntN(400) == 0 {
				for end := time.Now().Add(12 * time.Millisecond); time.Now().Before(end); {
				}
			}
		}},
		{"readying others", false, func(t *Turn) { t.Readied() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 2)
			s := newCounter(t, g.Next())
			s.slow = c.slow
			s.expects.Store(c.expects)
			for range 20000 {
				s.add()
				switch rand.IntN(400) {
				case 0:
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
				case 1: // whoever takes what is lost only when more comes is found out here
					eventually(t, func() bool { return s.taken.Load() == s.added.Load() }, "taking all")
				case 2, 3, 4, 5:
					runtime.Gosched()
				}
			}
			eventually(t, func() bool { return s.taken.Load() == 20000 }, "taking all")
			if s.rings.Load() == 0 {
				t.Error("got no ring, want one: the source knows that the Loop sleeps")
			}
		})
	}
}

func TestSourcesAreLookedAtInEachTurn(t *testing.T) {
	g := newGroup(t, 1)
	l := g.Next()
	s := newCounter(t, l)
	c, peer := pair(t, l)
	read := make(chan bool, 1)
	start(t, c, serve(c, func([]byte) { read <- true }), 0)
	eventually(t, s.asleep.Load, "sleeping")
	for range 5 {
		before := s.polls.Load()
		s.added.Add(1) // and nobody rings
		peer.Write([]byte("x"))
		within(t, read, "the read")
		eventually(t, func() bool { return s.taken.Load() == s.added.Load() }, "taking what came beside an event")
		if s.polls.Load() == before {
			t.Error("got no Poll, want one")
		}
	}
	eventually(t, s.asleep.Load, "sleeping again")
	l.RemoveSource(s)
	s.added.Add(1)
	before := s.polls.Load()
	for range 5 {
		peer.Write([]byte("x"))
		within(t, read, "the read")
	}
	if n := s.polls.Load() - before; n > 1 {
		t.Errorf("a source that was removed was looked at %d times, want at most 1", n)
	}
}

// busy is a Source that keeps its Loop from waiting.
type busy struct{}

func (busy) Poll(*Turn) bool {
	runtime.Gosched()
	return true
}

func (busy) Sleep(bool) bool { return false }

func (busy) Expects() bool { return true }

func TestASourceOfALoopThatNeverWaitsIsAwake(t *testing.T) {
	g := newGroup(t, 1)
	l := g.Next()
	l.AddSource(busy{})
	s := newCounter(t, l)
	eventually(t, func() bool { return !s.asleep.Load() }, "hearing that the loop is awake")
	l.RemoveSource(busy{})
}

func TestAnIdleLoopSleeps(t *testing.T) {
	g := newGroup(t, 3)
	var all []*counter
	for range 3 {
		all = append(all, newCounter(t, g.Next()))
	}
	for _, s := range all {
		eventually(t, func() bool {
			before := s.polls.Load()
			time.Sleep(20 * time.Millisecond)
			return s.asleep.Load() && s.polls.Load() == before
		}, "no turn of a loop that has nothing to do")
	}
}

func TestNextGoesRound(t *testing.T) {
	g := newGroup(t, 3)
	seen := map[*Loop]int{}
	for range 30 {
		seen[g.Next()]++
	}
	for _, n := range seen {
		if n != 10 {
			t.Errorf("a loop was next %d times of 30, want 10", n)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d loops, want 3", len(seen))
	}
}
