package http1

import (
	"io"
	"syscall"
	"time"
)

// awaitByte reads where readiness cannot be waited for.
func (c *conn) awaitByte(timeout time.Duration) bool {
	c.releaseExchange()
	c.idleDeadline(timeout)
	n, err := c.nc.Read(c.one[:])
	if n == 0 || err != nil && err != io.EOF {
		return false
	}
	c.takeRead()
	c.buf[0], c.w = c.one[0], 1
	return true
}

// readReady reads into a buffer taken only for the attempt.
func (c *conn) readReady(fd uintptr) bool {
	c.takeRead()
	n, err := ignoringEINTR(int(fd), c.buf)
	if err == syscall.EAGAIN {
		c.releaseRead()
		c.releaseExchange()
		return false
	}
	if n > 0 {
		c.w = n
	} else if c.readErr = err; err == nil {
		c.readErr = io.EOF
	}
	return true
}

func ignoringEINTR(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
