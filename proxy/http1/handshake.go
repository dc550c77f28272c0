package http1

import (
	"crypto/tls"
	"syscall"
	"time"

	"alicorn/proxy"
)

// acmeProtocol is what an authority's handshake verifies a name by (RFC 8737):
// it is over with the handshake.
const acmeProtocol = "acme-tls/1"

// handshake does the handshake; false when the connection is to be closed. A
// plain request is left to be served, as the last one: nginx's 497 answers it.
func (c *conn) handshake() bool {
	t := c.shakes
	c.shakes = nil
	t.SetDeadline(c.started.Add(c.core.HeaderTimeout))
	if beginsRequest(t) {
		if c.nc = t.NetConn(); c.sock != nil {
			c.usePlain(c.sock)
			c.sock.SetDeadline(time.Time{})
		}
		c.info.Plain, c.mustClose = true, true
		return true
	}
	if c.Detach(); c.sock != nil { // it computes for long
		c.sock.Labor()
		defer c.sock.Rest()
	}
	if err := t.Handshake(); err != nil {
		c.e.HandshakeFailed(c.info, err)
		return false
	}
	t.SetDeadline(time.Time{})
	state := t.ConnectionState()
	c.info.TLS = &state
	return state.NegotiatedProtocol != acmeProtocol
}

// beginsRequest waits for the first byte and reports whether it begins an HTTP
// request in place of a TLS record. It is not consumed.
func beginsRequest(t *tls.Conn) bool {
	nc, ok := t.NetConn().(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := nc.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	var n int
	raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	})
	return n == 1 && err == nil && proxy.IsTokenByte(first[0])
}
