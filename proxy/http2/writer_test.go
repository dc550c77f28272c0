//go:build linux

package http2_test

import (
	"bytes"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// send sends the queued frames, unless the writing side has an owner. If there is no room,
// the loop calls writer when there is.
func (c *conn) send() {
	c.mu.Lock()
	busy := c.sending
	c.sending = true
	c.mu.Unlock()
	if !busy {
		c.write()
	}
}

// writer is the handler of a connection's writing side.
type writer struct{ c *conn }

// Ready implements eventloop.Handler: there is room.
func (w writer) Ready(t *eventloop.Turn) {
	w.c.write()
	t.Readied() // exchanges may await room
}

// write sends until there is no room or nothing is left. The caller must own the writing
// side.
func (c *conn) write() {
	for c.again || c.fill() {
		n, err := c.nc.Send(c.unsent)
		c.unsent = c.unsent[n:]
		c.again = err == unix.EAGAIN
		switch {
		case c.again:
			if c.nc.AwaitRoom(0) {
				return
			}
		case err != nil:
			c.locked(func() { c.shut = true })
			c.nc.Cut() // then the reading side ends the connection
		}
	}
	c.closeLast()
}

// fill takes the queued frames into unsent. If there are none, it gives the writing side up
// and returns false.
func (c *conn) fill() (more bool) {
	c.locked(func() {
		switch {
		case c.shut:
			c.unsent = nil
		case c.out.Len() > 0:
			c.unsent, more = bytes.Clone(c.out.Bytes()), true
		case c.away && len(c.streams) == 0:
			c.shut, more = true, true
			c.nc.CloseWrite() // a Send of nothing must follow
		}
		c.out.Reset()
		c.sending = more
	})
	return more
}
