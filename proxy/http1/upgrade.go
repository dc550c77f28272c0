package http1

import (
	"net"

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
	if err := c.wire.tunnel(); err != nil {
		return nil, c.fail(err)
	}
	return &tunnel{Conn: c.wire, c: c}, nil
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

// Close ends the connection for the client; the handler's return does the same.
func (t *tunnel) Close() error {
	t.c.wire.cut()
	return nil
}
