//go:build linux

package eventloop

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// lodger is a Handler that keeps its descriptor, and nobody works on it.
type lodger struct {
	conn  *Conn
	owned chan bool
	lefts atomic.Int32
	turns chan *Turn
}

func (h *lodger) Ready(*Turn) {
	h.conn.TryRead(make([]byte, 16))
	h.conn.Watch()
	h.owned <- true
}

func (h *lodger) Left(t *Turn) {
	h.lefts.Add(1)
	h.turns <- t
}

// The leader tells a handler at once that the peer has gone, although nobody reads.
func TestAHandlerIsToldThatThePeerOfAnOwnedDescriptorLeft(t *testing.T) {
	g := newGroup(t, 1)
	c, peer := pair(t, g.Next())
	h := &lodger{conn: c, owned: make(chan bool, 1), turns: make(chan *Turn, 4)}
	if err := c.Start(h, 0); err != nil {
		t.Fatal(err)
	}
	peer.Write([]byte("x"))
	within(t, h.owned, "it is called")
	peer.Write([]byte("y")) // no event: it owns the descriptor
	peer.CloseWrite()
	if turn := within(t, h.turns, "the end of the peer's sending"); turn == nil {
		t.Error("got no turn, want one")
	}
	if !c.Gone() || c.Lost() {
		t.Errorf("gone %v, lost %v; want true and false", c.Gone(), c.Lost())
	}
	peer.Close()
	within(t, h.turns, "the peer's close")
	if n := h.lefts.Load(); n != 2 || !c.Lost() {
		t.Errorf("told %d times, lost %v; want 2 and true", n, c.Lost())
	}
	c.Close()
}

// The owner learns once that the watch has taken its lead, also when it detaches
// afterwards; not that it has given the lead away itself.
func TestAnOwnerLearnsThatItHasBlockedItsLoop(t *testing.T) {
	for _, c := range []struct {
		name string
		new  func(int) (*Group, error)
		lose func(c *Conn, turn *Turn)
		want bool
	}{
		{"detached", NewUnwatched, func(c *Conn, _ *Turn) { c.Detach() }, false},
		{"still leading", NewUnwatched, func(*Conn, *Turn) {}, false},
		{"taken", New, func(_ *Conn, turn *Turn) { untilLeft(turn) }, true},
		{"taken, then detached", New, func(c *Conn, turn *Turn) { untilLeft(turn); c.Detach() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := c.new(1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(g.Close)
			conn, peer := pair(t, g.Next())
			ran := make(chan [2]bool, 1)
			start(t, conn, func(turn *Turn) {
				c.lose(conn, turn)
				ran <- [2]bool{conn.Overran(), conn.Overran()}
				conn.Close()
			}, 0)
			peer.Write([]byte("x"))
			if got := within(t, ran, "the handler's end"); got != [2]bool{c.want, false} {
				t.Errorf("it has overrun: %v, want %v once", got, c.want)
			}
		})
	}
}

// untilLeft works until another goroutine leads.
func untilLeft(turn *Turn) {
	for !turn.Left() {
		runtime.Gosched()
	}
}
