package http1

import (
	"time"

	"alicorn/proxy"
)

// closeConn ends the connection so that the client sees the whole response.
func (c *conn) closeConn() {
	if c.timedOut && c.err == nil && !c.resets {
		c.endWriting() // and no more: the client has had its time
		return
	}
	if c.err != nil || c.resets || c.upgraded || c.core.Lingering == proxy.LingeringOff {
		return
	}
	if c.mustClose || c.r < c.w || !c.body.Ended() || c.core.Lingering == proxy.LingeringAlways || c.wire.unread(&c.one) {
		c.linger()
	}
}

// linger ends the sending side and reads for a while what the client still
// sends: closing with unread data would reset the connection and take the
// response back. lingering_time bounds it all, lingering_timeout each wait.
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

// endWriting ends the sending side, so that the client sees the end of the
// response whatever the close brings about.
func (c *conn) endWriting() bool { return c.wire.endWriting(c.sendTimeout()) == nil }

// resetOnClose makes the close of the connection a reset.
func (c *conn) resetOnClose() { c.resets = c.wire.resetOnClose() || c.resets }

// Gone reports, as nginx understands it, that the client wants no answer any
// more: it has closed, reset, or only ended its sending side, which cannot be
// told from a close. It is asked where a request waits before it is worked on;
// an answer that is ready goes out to half-closed connections. Without loops
// only a reset is seen.
func (c *conn) Gone() bool {
	client := c.Client()
	return c.err != nil || client != nil && client.Gone()
}

// Client implements proxy.Scheduler.
func (c *conn) Client() proxy.Client { return c.wire.client() }
