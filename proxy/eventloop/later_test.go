//go:build linux

package eventloop

import (
	"sync/atomic"
	"testing"
)

func TestWorkForLaterComesAfterTheHandler(t *testing.T) {
	c, peer := pair(t, newGroup(t, 1).Next())
	calls := make(chan string, 4)
	last := handlerFunc(func(*Turn) { calls <- "last" })
	put := handlerFunc(func(turn *Turn) {
		turn.Later(last)
		calls <- "later"
	})
	start(t, c, func(turn *Turn) {
		c.TryRead(make([]byte, 8))
		turn.Later(put)
		calls <- "handler"
		c.Idle(0)
	}, 0)
	peer.Write([]byte("x"))
	for _, want := range []string{"handler", "later", "last"} {
		if got := within(t, calls, want); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestWorkForLaterIsNeverLost(t *testing.T) {
	l := newGroup(t, 1).Next()
	const callers, each = 4, 2000
	var done atomic.Int64
	work := handlerFunc(func(*Turn) { done.Add(1) })
	for range callers { // of goroutines that do not lead
		go func() {
			for i := range each {
				l.Later(work)
				if i%100 == 0 {
					eventually(t, func() bool { return done.Load() > 0 }, "the first work")
				}
			}
		}()
	}
	eventually(t, func() bool { return done.Load() == callers*each }, "all work")
	left := make(chan bool)
	detached := handlerFunc(func(turn *Turn) { // the caller has given the lead away
		turn.Detach()
		eventually(t, l.waiting.Load, "the wait of the next leader")
		turn.Later(handlerFunc(func(*Turn) { close(left) }))
	})
	l.Later(detached)
	within(t, left, "the work of a handler that does not lead any more")
	if (*Turn)(nil).Later(work) {
		t.Error("a nil Turn: got true, want false")
	}
}

func TestALoopThatWaitsTakesNoWorkForItsTurn(t *testing.T) {
	l := newGroup(t, 1).Next()
	inTurn := make(chan bool)
	l.Later(handlerFunc(func(*Turn) {
		if !l.LaterInTurn(handlerFunc(func(*Turn) { close(inTurn) })) {
			t.Error("a Loop that works: got false, want true")
		}
	}))
	within(t, inTurn, "the work")
	eventually(t, func() bool { return !l.LaterInTurn(handlerFunc(func(*Turn) {})) }, "the loop's rest")
}
