package http1

import (
	"net"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/h1"
)

// Upgrade implements proxy.ResponseWire. A request with a body and one before HTTP/1.1
// cannot be upgraded.
func (c *conn) Upgrade(x *proxy.Exchange) (proxy.Upgraded, error) {
	if !c.interim || c.framing != noHead || !c.body.Ended() {
		return nil, proxy.ErrNoUpgrade
	}
	x.Res.Status = 101
	c.framing, c.mustClose, c.after = noBody, true, upgraded
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

// tunnel is a connection after its upgrade. Its first reads return the bytes that the
// client has sent with the request. Its bytes count for $request_length and $bytes_sent.
type tunnel struct {
	net.Conn
	c *conn
}

// Read reads bytes of the client.
func (t *tunnel) Read(p []byte) (int, error) {
	if n := t.readEarly(p); n > 0 {
		return n, nil
	}
	n, err := t.Conn.Read(p)
	t.c.bytesRead += int64(n)
	return n, err
}

// readEarly reads the bytes that the client has sent with the request.
func (t *tunnel) readEarly(p []byte) int {
	c := t.c
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	c.bytesRead += int64(n)
	return n
}

// Write writes to the client.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.c.bytesSent += int64(n)
	return n, err
}

// CloseWrite ends the sending side.
func (t *tunnel) CloseWrite() error { return t.c.wire.endWriting(t.c.sendTimeout()) }

// Close cuts the connection. When the handler has returned, it closes in any case.
func (t *tunnel) Close() error {
	t.c.wire.cut()
	return nil
}

// OnCut implements proxy.Upgraded.
func (t *tunnel) OnCut(f func(down bool)) {
	t.c.onCut.Store(&f)
	if t.c.state.Load() == stateClosed {
		f(t.c.e.Draining())
	}
}

// Duplex implements proxy.Upgraded.
func (t *tunnel) Duplex() eventloop.Duplex {
	d := t.c.wire.duplex()
	if d == nil {
		return nil
	}
	t.c.wire.Enter(nil)
	t.c.after = duplex
	t.c.dropHead()
	return &duplexTunnel{Duplex: d, tunnel: t}
}

// dropHead drops the buffer of the request's head, which an upgraded connection would hold
// for long. The buffer does not go back to the pool, as other code may have strings that
// alias it.
func (c *conn) dropHead() {
	if c.r < c.w || c.headBuf != nil {
		return // it has bytes that the client has sent with the request
	}
	c.x.Req.Compact()
	c.buf, c.pooled, c.r, c.w = nil, nil, 0, 0
}

// duplexTunnel is a tunnel whose handlers the loop calls.
type duplexTunnel struct {
	eventloop.Duplex
	tunnel *tunnel
}

// Receive implements eventloop.Duplex.
func (d *duplexTunnel) Receive(p []byte) (int, error) {
	if n := d.tunnel.readEarly(p); n > 0 {
		return n, nil
	}
	n, err := d.Duplex.Receive(p)
	d.tunnel.c.bytesRead += int64(n)
	return n, err
}

// Send implements eventloop.Duplex.
func (d *duplexTunnel) Send(p []byte) (int, error) {
	n, err := d.Duplex.Send(p)
	d.tunnel.c.bytesSent += int64(n)
	return n, err
}
