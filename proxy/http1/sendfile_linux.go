package http1

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendChunk is how much one wait for the client may cover: send_timeout is
// renewed after each.
const sendChunk = 1 << 20

// kernelSend sends the queued head, marked as not the last, and then the file
// by sendfile(2), from an offset of its own: f's position stays.
func (c *conn) kernelSend(f *os.File, off, n int64) error {
	if err := c.sendMore(); err != nil {
		return err
	}
	in := int(f.Fd())
	for n > 0 {
		sent, err := 0, error(nil)
		c.writeDeadline(c.sendTimeout())
		werr := c.raw.Write(func(fd uintptr) bool {
			for {
				sent, err = unix.Sendfile(int(fd), in, &off, int(min(n, sendChunk)))
				if err != unix.EINTR {
					return err != unix.EAGAIN
				}
			}
		})
		if werr != nil {
			return c.fail(werr)
		}
		if err != nil {
			return c.fail(err)
		}
		if sent == 0 {
			return errShrank
		}
		n -= int64(sent)
		c.bytesSent += int64(sent)
	}
	return nil
}

// sendMore sends what is queued with MSG_MORE, so that it shares a segment
// with what follows.
func (c *conn) sendMore() error {
	b := c.out
	for len(b) > 0 {
		n, err := 0, error(nil)
		c.writeDeadline(c.sendTimeout())
		werr := c.raw.Write(func(fd uintptr) bool {
			n, err = unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			return err != syscall.EAGAIN && err != syscall.EINTR
		})
		if werr == nil {
			werr = err
		}
		if werr != nil {
			return c.fail(werr)
		}
		c.bytesSent += int64(n)
		b = b[n:]
	}
	c.releaseOut()
	return nil
}
