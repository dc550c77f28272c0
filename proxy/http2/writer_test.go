//go:build linux

package http2_test

import (
	"bytes"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// send sends what is queued, as far as there is room. Where somebody sends already,
// that one does; where there is no room, the loop calls writer when there is.
func (c *conn) send() {
	c.mu.Lock()
	busy := c.sending
	c.sending = true
	c.mu.Unlock()
	if !busy {
		c.goOn()
	}
}

// writer is the Handler of a connection whose sending waits for room.
type writer struct{ c *conn }

// Ready implements eventloop.Handler.
func (w writer) Ready(t *eventloop.Turn) {
	w.c.goOn()
	t.Readied() // exchanges that await room
}

// goOn sends, for who does, until there is no room or nothing more to send.
func (c *conn) goOn() {
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
			c.nc.Cut() // the reader ends the rest
		}
	}
	c.closeLast()
}

// fill readies what is to be sent. False: there is nothing, and nobody sends any more.
func (c *conn) fill() (more bool) {
	c.locked(func() {
		switch {
		case c.shut:
			c.unsent = nil
		case c.out.Len() > 0:
			c.unsent, more = bytes.Clone(c.out.Bytes()), true
		case c.away && len(c.streams) == 0:
			c.shut, more = true, true
			c.nc.CloseWrite() // which Send(nil) follows
		}
		c.out.Reset()
		c.sending = more
	})
	return more
}
