package websocket

import (
	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
)

// writing is a Conn as the handler of its writing side.
type writing Conn

// Ready implements eventloop.Handler: there is room, or there was none for too long.
func (w *writing) Ready(t *eventloop.Turn) {
	c := (*Conn)(w)
	if c.link.RoomExpired() {
		c.endWriting(t, true)
		return
	}
	c.write(t)
}

// flushing is a Conn as the handler that sends the frames that were gathered in a turn.
type flushing Conn

// Ready implements eventloop.Handler.
func (f *flushing) Ready(t *eventloop.Turn) { (*Conn)(f).flush(t) }

// unlockAndFlush unlocks mu. Frames that were gathered are sent at the end of the turn.
func (c *Conn) unlockAndFlush(t *eventloop.Turn) {
	later := c.link != nil && !c.writing && !c.flushes && c.pending()
	c.flushes = c.flushes || later
	c.mu.Unlock()
	if later {
		c.link.Later(t, (*flushing)(c))
	}
}

// pending reports whether frames wait to be sent. The caller holds mu.
func (c *outgoing) pending() bool { return c.out != nil || c.pong != nil }

// flush sends the frames that were gathered, unless the writing side has an owner.
func (c *Conn) flush(t *eventloop.Turn) {
	c.mu.Lock()
	c.flushes = false
	if c.writing || c.finished {
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.mu.Unlock()
	c.write(t)
}

// write sends until nothing is left or there is no room. The caller must own the writing
// side. When write returns, it does not own it any more.
func (c *Conn) write(t *eventloop.Turn) {
	for {
		if len(c.sending) == 0 && !c.unsent && !c.next() {
			c.endWriting(t, false)
			return
		}
		c.blocked.Store(false)
		n, err := c.link.Send(c.sending)
		c.sending = c.sending[n:]
		c.unsent = err == unix.EAGAIN
		switch {
		case c.unsent:
			c.blocked.Store(true)
			if c.link.AwaitRoom(c.room) {
				return
			}
		case err != nil:
			c.endWriting(t, true)
			return
		case len(c.sending) == 0:
			c.sent(t)
		}
	}
}

// sent gives the buffer back, and returns credit to the peer.
func (c *Conn) sent(t *eventloop.Turn) {
	cost := c.cost
	releaseOut(c.buffer)
	c.buffer, c.sending, c.cost = nil, nil, 0
	if cost > 0 {
		c.peer.Taken(t, cost)
	}
}

// next takes the frames that were gathered into sending. It returns false if nothing is to
// be sent.
func (c *Conn) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gatherPong()
	if c.out == nil {
		return c.endSending()
	}
	c.buffer, c.sending, c.cost = c.out, *c.out, c.owed
	c.out, c.owed = nil, 0
	return true
}

// gatherPong appends the pong that waits to out. The caller holds mu.
func (c *outgoing) gatherPong() {
	if c.pong != nil {
		b := c.gather()
		*b = frames.AppendControl(*b, frames.PongFrame, c.pong)
		c.pong = nil
	}
}

// endSending ends the connection's sending side behind a close of the state faulted: a
// client that still sends reads the end before the connection closes. It returns whether
// link.Send must be called again. The caller holds mu.
func (c *Conn) endSending() bool {
	if c.closing.Load() != faulted || c.endedSending || c.lost || c.readingOver {
		return false
	}
	c.endedSending = true
	c.unsent = c.link.CloseWrite() == nil
	return c.unsent
}

// endWriting gives the writing side up. lost says that the connection is lost.
func (c *Conn) endWriting(t *eventloop.Turn, lost bool) {
	c.mu.Lock()
	c.writing = false
	if c.wrote != nil {
		close(c.wrote)
		c.wrote = nil
	}
	if lost {
		c.lost = true
		if c.closing.CompareAndSwap(open, faulted) {
			c.code = frames.Abnormal
		}
		releaseOut(c.buffer)
		c.buffer, c.sending, c.cost, c.unsent = nil, nil, 0, false
		c.drop()
	}
	cuts := lost && !c.readingOver
	if cuts {
		c.link.Cut()
	}
	c.unlockAndFinish(t)
	if cuts {
		c.resume(t) // the reading side finds the connection lost
	}
}

// drop drops the frames that wait to be sent. The caller holds mu.
func (c *outgoing) drop() {
	releaseOut(c.out)
	c.out, c.owed, c.pong = nil, 0, nil
}
