package http1

import "time"

// deadlines in effect are left alone when they are this much of the timeout
// too early at most: arming a timer for each read costs more than the read's
// own bookkeeping.
const slack = 8

// readDeadline bounds each read to come. Over TLS it bounds the read as a whole:
// the part of a record, of which nobody sees a byte, does not begin it anew.
func (c *conn) readDeadline(d time.Duration) {
	if c.carrier != nil {
		c.readDeadlineAt(time.Now().Add(d))
		return
	}
	if c.sock != nil {
		c.sock.SetReadDeadline(time.Time{})
		c.sock.SetReadTimeout(d)
		return
	}
	if want, move := c.arm(0, d); move {
		c.nc.SetReadDeadline(want)
	}
}

// readDeadlineAt sets a deadline that does not move while bytes trickle in.
func (c *conn) readDeadlineAt(at time.Time) {
	if c.sock != nil {
		c.sock.SetReadTimeout(0)
		c.sock.SetReadDeadline(at)
		return
	}
	if c.armed[0] != at {
		c.armed[0] = at
		c.nc.SetReadDeadline(at)
	}
}

func (c *conn) writeDeadline(d time.Duration) {
	if c.sock != nil {
		c.sock.SetWriteTimeout(d)
		return
	}
	if want, move := c.arm(1, d); move {
		c.nc.SetWriteDeadline(want)
	}
}

func (c *conn) arm(i int, d time.Duration) (time.Time, bool) {
	want := time.Now().Add(d)
	early := want.Sub(c.armed[i])
	if early >= 0 && early < d/slack {
		return want, false
	}
	c.armed[i] = want
	return want, true
}
