package http1

import (
	"time"

	"alicorn/proxy"
)

// closeConn prepares the close so that the client sees the whole response.
func (c *conn) closeConn() {
	if c.timedOut && c.err == nil && !c.resets {
		c.endWriting() // without lingering: the client has had its time
		return
	}
	if c.err != nil || c.resets || c.after != staysHTTP || c.core.Lingering == proxy.LingeringOff {
		return
	}
	if c.mustClose || c.r < c.w || !c.body.Ended() || c.core.Lingering == proxy.LingeringAlways || c.wire.unread(&c.one) {
		c.linger()
	}
}

// linger ends the sending side, and for a while reads and drops what the client still
// sends: a close with unread bytes resets the connection, and the client may lose the
// response. lingering_time bounds the whole, lingering_timeout each wait.
func (c *conn) linger() {
	if !c.endWriting() {
		return
	}
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	end := time.Now().Add(c.core.LingeringTime)
	for time.Now().Before(end) {
		c.wire.boundReadsBy(time.Now().Add(min(c.core.LingeringTimeout, time.Until(end))))
		if n, err := c.wire.Read(*buf); err != nil || n == 0 {
			return
		}
	}
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
