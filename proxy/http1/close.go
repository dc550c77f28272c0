package http1

import (
	"io"
	"time"

	"alicorn/proxy"
)

// dropping is the state of a connection that reads and drops bytes after a response. With
// a loop it holds a buffer only while it reads.
type dropping struct {
	drops    drops
	dropEnds time.Time // when it stops
	dropped  int64     // how many bytes of the body were dropped
}

// drops is which bytes of the client are read and dropped after a response.
type drops uint8

const (
	nothing    drops = iota
	restOfBody       // so that another request can follow
	everything       // until the connection closes
)

// maxDrain bounds the bytes of a body that are dropped to keep a connection, and the bytes
// that a closing connection drops in one turn.
const maxDrain = 256 << 10

// beginToDrop begins to drop bytes, for at most lingering_time.
func (c *conn) beginToDrop(what drops) {
	c.drops, c.dropEnds, c.dropped = what, c.Now().Add(c.core.LingeringTime), 0
	c.body.mode, c.bodyDue = drains, time.Time{}
}

// drain reads and drops the rest of the body, so that another request can follow. It
// returns arrived at the end of the body, and over if the rest is too long or comes too
// slowly.
func (c *conn) drain() progress {
	switch {
	case c.body.Ended():
		return arrived
	case !c.drainable():
		return over
	case c.drops == nothing:
		c.beginToDrop(restOfBody)
	}
	p := c.dropRest()
	if p != waiting {
		c.drops = nothing
	}
	return p
}

// dropRest goes on with drain.
func (c *conn) dropRest() progress {
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	for c.dropped <= maxDrain && c.Now().Before(c.dropEnds) {
		n, err := c.ReadBody(*buf)
		c.dropped += int64(n)
		switch {
		case err == io.EOF:
			return arrived
		case err == proxy.ErrNotYet:
			if c.wire.rest(c.untilDropped()) {
				return waiting
			}
		case err != nil:
			return over
		}
	}
	return over
}

// untilDropped returns how long the loop may wait for more bytes to drop: until
// lingering_time or lingering_timeout is over.
func (c *conn) untilDropped() time.Duration {
	due := c.dropEnds
	if c.bodyDue.Before(due) {
		due = c.bodyDue
	}
	return max(due.Sub(c.Now()), time.Millisecond)
}

// closeConn prepares the close so that the client sees the whole response. It returns
// over, or waiting while the connection lingers.
func (c *conn) closeConn() progress {
	if c.timedOut && c.err == nil && !c.resets {
		c.endWriting() // it does not linger, as the client has had its time
		return over
	}
	if c.err != nil || c.resets || c.after != staysHTTP || c.core.Lingering == proxy.LingeringOff {
		return over
	}
	if c.mustClose || c.r < c.w || !c.body.Ended() || c.core.Lingering == proxy.LingeringAlways || c.wire.unread(&c.one) {
		if c.endWriting() {
			c.beginToDrop(everything)
			c.releaseAll()
			return c.linger()
		}
	}
	return over
}

// linger reads and drops what the client still sends after our sending side has ended. (A
// close with unread bytes resets the connection, and the client may lose the response.)
// lingering_time bounds the whole, lingering_timeout each wait.
func (c *conn) linger() progress {
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	for read := 0; c.Now().Before(c.dropEnds); {
		n, err := c.readDropped(*buf)
		switch {
		case err == proxy.ErrNotYet:
			if c.wire.rest(c.untilDropped()) {
				return waiting
			}
		case err != nil || n == 0:
			return over
		}
		if read += n; read > maxDrain && c.wire.suspends() {
			c.wire.again() // others have their turn
			return waiting
		}
	}
	return over
}

// readDropped reads what the client sends after the last response.
func (c *conn) readDropped(p []byte) (int, error) {
	if c.wire.suspends() {
		return c.readWire(p, nil)
	}
	now := time.Now()
	c.wire.boundReadsBy(now.Add(min(c.core.LingeringTimeout, c.dropEnds.Sub(now))))
	return c.wire.Read(p)
}

// endWriting ends the sending side, so that the client sees the end of the response even
// if the close resets the connection.
func (c *conn) endWriting() bool { return c.wire.endWriting(c.sendTimeout()) == nil }

// resetOnClose makes the close of the connection a reset.
func (c *conn) resetOnClose() { c.resets = c.wire.resetOnClose() || c.resets }

// Gone implements proxy.Scheduler. A client that has only ended its sending side counts as
// gone, as in nginx: that looks like a close. Without a loop Gone notices only a reset, or
// a write that has failed.
func (c *conn) Gone() bool {
	client := c.Client()
	return c.err != nil || client != nil && client.Gone()
}

// Client implements proxy.Scheduler.
func (c *conn) Client() proxy.Client { return c.wire.client() }
