package http1

import (
	"runtime"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// fileSend has the arguments and the results of the system call in progress.
// syscall.RawConn calls its methods, which are bound once for each connection.
type fileSend struct {
	queued  []byte // for sendmsg
	in      int    // for sendfile: the file's descriptor
	off     int64  // for sendfile: where in the file it begins
	n       int    // for sendfile: how many bytes to send
	sent    int
	err     error
	msg, io func(fd uintptr) bool // the methods message and sendfile
}

// message sends the queued bytes with MSG_MORE, so that they share a segment with the
// file's.
func (f *fileSend) message(fd uintptr) bool {
	for {
		f.sent, f.err = unix.SendmsgN(int(fd), f.queued, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if f.err != unix.EINTR {
			return f.err != unix.EAGAIN
		}
	}
}

// sendfile sends bytes of the file from off on. It does not use the file's position.
func (f *fileSend) sendfile(fd uintptr) bool {
	for {
		f.sent, f.err = unix.Sendfile(int(fd), f.in, &f.off, f.n)
		if f.err != unix.EINTR {
			return f.err != unix.EAGAIN
		}
	}
}

// kernelSend sends the queued head, and then the file by sendfile(2).
func (c *conn) kernelSend(f proxy.File, off, n int64) error {
	if c.file == nil {
		c.file = &fileSend{}
		c.file.msg, c.file.io = c.file.message, c.file.sendfile
	}
	c.beginFile(n)
	defer c.rest()
	s := c.file
	for s.queued = c.out; len(s.queued) > 0; s.queued = s.queued[s.sent:] {
		if err := c.kernelCall(s.msg); err != nil {
			return err
		}
	}
	c.releaseOut()
	defer runtime.KeepAlive(f)
	s.in, s.off = int(f.Fd()), off
	for n > 0 {
		s.n = nextChunk(n)
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

// kernelCall makes call, and again when there is room, until it has sent something or
// failed.
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

// nextChunk returns how many of the n bytes that are left are sent at once.
func nextChunk(n int64) int {
	if n < 2*sendChunk {
		return int(n)
	}
	return sendChunk
}
