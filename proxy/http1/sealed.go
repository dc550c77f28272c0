package http1

import (
	"time"

	"alicorn/proxy/eventloop"
)

// awaitSealed is awaitEvent over TLS. There may be something to read though
// the socket is not readable, and nothing though it is: the part of a record
// that crypto/tls keeps moves no deadline.
func (c *conn) awaitSealed(timeout time.Duration) (waits, more bool) {
	if c.waitEnds.IsZero() {
		c.waitEnds = c.now().Add(timeout)
	}
	for {
		c.takeRead()
		c.carrier.Try(true)
		n, err := c.nc.Read(c.buf)
		c.carrier.Try(false)
		if n > 0 {
			c.w = n
			return false, true
		}
		c.releaseRead()
		if err != eventloop.ErrNothing || c.flushCarrier() != nil {
			return false, false
		}
		left := min(c.waitEnds.Sub(c.now()), timeout)
		if left <= 0 {
			return false, false
		}
		c.releaseExchange()
		if c.idle(left) {
			return true, false
		}
	}
}

// sendSealed writes what is queued and then p through TLS, in as few calls as
// the Carrier needs.
func (c *conn) sendSealed(p []byte) (n int64, err error) {
	for _, b := range [...][]byte{c.out, p} {
		if len(b) == 0 || err != nil {
			continue
		}
		var m int
		m, err = c.nc.Write(b)
		n += int64(m)
	}
	if err == nil && c.last {
		c.endSealed()
	}
	if err == nil {
		err = c.carrier.Flush()
	}
	return n, err
}

// endSealed writes close_notify behind the last response. crypto/tls lets its
// deadline pass at once, so that nothing more is written: what was gathered is.
func (c *conn) endSealed() {
	if t, ok := c.nc.(interface{ CloseWrite() error }); ok {
		t.CloseWrite()
		c.sock.SetWriteDeadline(time.Time{})
	}
}

// flushCarrier sends what TLS itself has to say.
func (c *conn) flushCarrier() error {
	if c.carrier == nil || !c.carrier.Gathered() {
		return nil
	}
	c.writeDeadline(c.sendTimeout())
	return c.carrier.Flush()
}
