//go:build linux

package eventloop

import (
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
		t.Error("not in a turn")
	}
	if !c.Gone() || c.Lost() {
		t.Errorf("gone %v, lost %v", c.Gone(), c.Lost())
	}
	peer.Close()
	within(t, h.turns, "the peer's close")
	if n := h.lefts.Load(); n != 2 || !c.Lost() {
		t.Errorf("told %d times, lost %v", n, c.Lost())
	}
	c.Close()
}
