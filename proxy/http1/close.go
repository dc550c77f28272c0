package http1

import (
	"io"
	"time"

	"alicorn/proxy"
)

// drops says which bytes of the client are read and dropped after a response. With a loop
// that is a state of the connection, which holds a buffer only while bytes are there.
type drops uint8

const (
	nothing    drops = iota
	restOfBody       // so that another request can follow
	everything       // and then the connection closes
)

// maxDrain is how much of a body is read and dropped at most to keep a connection.
const maxDrain = 256 << 10

// beginToDrop begins to drop bytes, for lingering_time.
func (c *conn) beginToDrop(what drops) {
	c.drops, c.dropEnds, c.dropped = what, c.Now().Add(c.core.LingeringTime), 0
	c.body.mode, c.bodyDue = drains, time.Time{}
}

// drain reads and drops the rest of the body, so that another request can follow. It
// stops if the rest is long or does not come soon. It returns arrived at the end.
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

// untilDropped is how long the loop may wait for more of what is dropped.
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
		c.endWriting() // without lingering: the client has had its time
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

// linger reads and drops what the client still sends after the end of the sending side: a
// close with unread bytes resets the connection, and the client may lose the response.
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
		return c.readWire(p)
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

// Gone reports that the client has left, in the sense of nginx: it has closed, reset, or
// ended its sending side, which looks like a close. Callers ask while a request waits to
// be started; a response that is ready is sent to half-closed connections, too. Without
// loops Gone sees only a reset.
func (c *conn) Gone() bool {
	client := c.Client()
	return c.err != nil || client != nil && client.Gone()
}

// Client implements proxy.Scheduler.
func (c *conn) Client() proxy.Client { return c.wire.client() }
