package http1

import (
	"net"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/h1"
)

// Upgrade is proxy.Stream's. A request with a body, or one older than
// HTTP/1.1, stays HTTP.
func (c *conn) Upgrade(x *proxy.Exchange) (net.Conn, error) {
	if !c.interim || c.headWritten || !c.body.Ended() {
		return nil, proxy.ErrNoUpgrade
	}
	x.Res.Status = 101
	c.headWritten, c.bodyless, c.mustClose, c.upgraded = true, true, true, true
	c.core = x.Core()
	c.buffer()
	c.out = c.appendOwn(h1.AppendStatusLine(c.out, 101, proxy.StatusText(101)), &x.Res)
	c.out = append(c.appendFields(append(c.out, "Connection: Upgrade\r\n"...), x), '\r', '\n')
	if err := c.send(nil); err != nil {
		return nil, err
	}
	if c.carrier != nil {
		if err := c.carrier.Direct(); err != nil {
			return nil, c.fail(err)
		}
	}
	t := &tunnel{Conn: c.nc, c: c}
	return t, t.SetDeadline(time.Time{})
}

// tunnel is a connection after its upgrade: what the client had sent with the
// request comes first, and bytes count for $request_length and $bytes_sent.
type tunnel struct {
	net.Conn
	c *conn
}

// Read reads what the client sends.
func (t *tunnel) Read(p []byte) (int, error) {
	c := t.c
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		c.bytesRead += int64(n)
		return n, nil
	}
	n, err := t.Conn.Read(p)
	c.bytesRead += int64(n)
	return n, err
}

// Write writes to the client.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.c.bytesSent += int64(n)
	return n, err
}

// SetDeadline sets both deadlines in place of the exchange's timeouts.
func (t *tunnel) SetDeadline(at time.Time) error {
	t.c.armed = [2]time.Time{}
	if s := t.c.sock; s != nil {
		s.SetReadTimeout(0)
		s.SetWriteTimeout(0)
	}
	return t.Conn.SetDeadline(at)
}

// Close ends the connection for the client; the handler's return does the same.
func (t *tunnel) Close() error { return t.c.cut() }
