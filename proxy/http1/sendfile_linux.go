package http1

import (
	"runtime"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// fileSend is one call in progress to the kernel. Its methods are what
// syscall.RawConn calls, bound once for the connection.
type fileSend struct {
	queued  []byte // by sendmsg
	in      int    // by sendfile
	off     int64
	n       int
	sent    int
	err     error
	msg, io func(fd uintptr) bool
}

// message sends what is queued with MSG_MORE, so that it shares a segment with
// what follows.
func (f *fileSend) message(fd uintptr) bool {
	for {
		f.sent, f.err = unix.SendmsgN(int(fd), f.queued, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if f.err != unix.EINTR {
			return f.err != unix.EAGAIN
		}
	}
}

// sendfile sends from an offset of its own: the file's position stays.
func (f *fileSend) sendfile(fd uintptr) bool {
	for {
		f.sent, f.err = unix.Sendfile(int(fd), f.in, &f.off, f.n)
		if f.err != unix.EINTR {
			return f.err != unix.EAGAIN
		}
	}
}

// kernelSend sends the queued head, marked as not the last, and then the file
// by sendfile(2).
func (c *conn) kernelSend(f proxy.File, off, n int64) error {
	if c.file == nil {
		c.file = &fileSend{}
		c.file.msg, c.file.io = c.file.message, c.file.sendfile
	}
	s := c.file
	for s.queued = c.out; len(s.queued) > 0; s.queued = s.queued[s.sent:] {
		if err := c.kernelCall(s.msg); err != nil {
			return err
		}
	}
	c.releaseOut()
	defer runtime.KeepAlive(f)
	s.in, s.off = int(f.Fd()), off
	defer c.rest()
	for n > 0 {
		s.n = int(min(n, sendChunk))
		if err := c.kernelCall(s.io); err != nil {
			return err
		}
		if s.sent == 0 {
			return proxy.ErrFileShrank
		}
		n -= int64(s.sent)
		c.share(s.sent, n)
	}
	return nil
}

// kernelCall makes call once the socket can take something.
func (c *conn) kernelCall(call func(fd uintptr) bool) error {
	err := c.wire.kernelWrite(call, c.sendTimeout())
	if err == nil {
		err = c.file.err
	}
	if err != nil {
		return c.fail(err)
	}
	c.bytesSent += int64(c.file.sent)
	return nil
}
