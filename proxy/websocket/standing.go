package websocket

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
)

// standing is a link without a loop. One goroutine reads, and waits in Receive; another one
// writes, and waits in Send.
type standing struct {
	proxy.Upgraded
	again   eventloop.Handler      // goes on with the reading side
	room    time.Duration          // how long Send may wait
	writes  chan eventloop.Handler // for the goroutine that writes; at most one waits, see Conn.flushes
	reads   chan eventloop.Handler // for the goroutine that reads, while it is stalled or lets others have their turn
	over    chan struct{}          // closed when the WebSocket has ended
	until   time.Time              // how long Receive waits; guarded by the Conn's mu
	expired bool                   // the last Receive has waited for too long
	last    atomic.Bool            // Last was called
}

// stand carries the WebSocket with two goroutines, one of which is the caller's.
func (o *opened) stand(x *proxy.Exchange, nc proxy.Upgraded) error {
	c := o.c
	s := &standing{Upgraded: nc, again: (*reading)(c), room: c.room, over: make(chan struct{}),
		writes: make(chan eventloop.Handler, 1), reads: make(chan eventloop.Handler, 1)}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		s.work(s.writes)
	}()
	c.start(s)
	nc.OnCut(c.cut)
	c.idle() // sets the first deadline
	c.read(nil)
	s.work(s.reads)
	<-wrote
	return o.finish(x)
}

// work calls handlers until the WebSocket has ended.
func (s *standing) work(handlers <-chan eventloop.Handler) {
	for {
		select {
		case h := <-handlers:
			h.Ready(nil)
		case <-s.over:
			return
		}
	}
}

// Later implements link.
func (s *standing) Later(_ *eventloop.Turn, h eventloop.Handler) {
	to := s.reads
	if _, ok := h.(*flushing); ok {
		to = s.writes
	}
	select {
	case to <- h:
	case <-s.over:
	}
}

// Again implements link.
func (s *standing) Again() { s.reads <- s.again }

// Over implements link.
func (s *standing) Over(*eventloop.Turn) { close(s.over) }

// Receive implements link. It waits for bytes until the time that Idle has set.
func (s *standing) Receive(p []byte) (int, error) {
	s.expired = false
	n, err := s.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		s.expired, err = true, unix.EAGAIN
	}
	return n, err
}

// Idle implements link. It sets how long Receive waits, and returns false: the caller keeps
// the reading side.
func (s *standing) Idle(timeout time.Duration) bool {
	s.until = time.Now().Add(timeout)
	s.SetReadDeadline(s.until)
	return false
}

// Hurry implements link. It shortens the wait of Receive.
func (s *standing) Hurry(timeout time.Duration) {
	if time.Until(s.until) > timeout {
		s.Idle(timeout)
	}
}

// Expired implements link.
func (s *standing) Expired() bool { return s.expired }

// Send implements link. It waits until all is sent.
func (s *standing) Send(p []byte) (int, error) {
	wait := s.room
	if s.last.Load() {
		wait = lastWait
	}
	if wait > 0 {
		s.SetWriteDeadline(time.Now().Add(wait))
	}
	return s.Write(p)
}

// AwaitRoom implements link. It returns false, as Send waits itself.
func (s *standing) AwaitRoom(time.Duration) bool { return false }

// RoomExpired implements link. It returns false: a Send that has waited for too long fails.
func (s *standing) RoomExpired() bool { return false }

// Lost implements link. It returns false: only Receive and Send notice a loss.
func (s *standing) Lost() bool { return false }

// Cut implements link.
func (s *standing) Cut() { s.Close() }

// Last implements link.
func (s *standing) Last() {
	s.last.Store(true)
	s.SetWriteDeadline(time.Now().Add(lastWait))
}
