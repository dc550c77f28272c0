package appserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// maxFrame is the size of the largest frame (PROTOCOL.md).
const maxFrame = 64 << 10

// sendBuffer is asked for in both directions: room for the requests queued
// ahead of a worker, and for responses that the front has yet to read.
const sendBuffer = 1 << 20

// maxRights is how many descriptors the kernel lets one message carry. A buffer
// for fewer would have the kernel close the rest within recvmsg, where closing
// what a worker has chosen may wait.
const maxRights = 253

// channel is the front's side of a worker's socket pair. Receiving belongs to
// one goroutine at a time; sending, taking back and close to holders of the
// pool's lock.
type channel struct {
	ours  *os.File // non-blocking, in the netpoller; nil where a loop polls
	event *eventloop.Descriptor
	fd    int // non-blocking
	conn  syscall.RawConn
	taken int // a duplicate of the worker's end, which stays blocking; -1 once closed

	receive func(fd uintptr) bool
	in      received
	inbox   inbox
	outbox  outbox
	buf     []byte // where receive reads to
	oob     []byte
	take    []byte
}

// received is what one recvmsg gave.
type received struct {
	n, oobn, flags int
	err            error
}

var errChannelClosed = errors.New("channel is closed")

// newChannel returns the front's side, in loop if there is one, and the
// worker's end. The caller closes the latter once the worker has it.
func newChannel(loop *eventloop.Loop) (*channel, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a worker's channel: %w", err)
	}
	for _, fd := range []int{ours, theirs} {
		enlarge(fd)
	}
	unix.SetNonblock(ours, true)
	dup, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(ours)
		unix.Close(theirs)
		return nil, nil, fmt.Errorf("cannot make a worker's channel: %w", err)
	}
	c := &channel{fd: ours, taken: dup, oob: make([]byte, unix.CmsgSpace(maxRights*4))}
	if err := c.poll(loop); err != nil {
		unix.Close(theirs)
		unix.Close(dup)
		return nil, nil, fmt.Errorf("cannot make a worker's channel: %w", err)
	}
	return c, os.NewFile(uintptr(theirs), "worker channel"), nil
}

// poll has loop, or the netpoller, wait for the channel. It closes the
// descriptor where it fails.
func (c *channel) poll(loop *eventloop.Loop) (err error) {
	if loop != nil {
		if c.event, err = loop.Add(c.fd, nil, 0); err != nil {
			unix.Close(c.fd)
		}
		return err
	}
	c.ours = os.NewFile(uintptr(c.fd), "worker channel")
	if c.conn, err = c.ours.SyscallConn(); err != nil {
		c.ours.Close()
		return err
	}
	c.receive = func(fd uintptr) bool {
		c.in = c.inbox.receive(int(fd), c.buf, c.oob)
		return c.in.err != unix.EAGAIN
	}
	return nil
}

// enlarge asks for a larger buffer; the kernel gives what it allows.
func enlarge(fd int) {
	if forceSendBuffer(fd, sendBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

// recvmsg receives without waiting.
func recvmsg(fd int, p, oob []byte) received {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT|recvFlags)
		if err == unix.EINTR {
			continue
		}
		return received{n, oobn, flags, err}
	}
}

// read receives one frame into p, waiting for it, and the descriptors that
// came along. n is 0 at the end.
func (c *channel) read(p []byte) (n int, files []int, err error) {
	c.buf = p
	err = c.conn.Read(c.receive)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n, files, err = c.tryRead(p)
		if err == unix.EAGAIN {
			return 0, nil, nil
		}
		return n, files, err
	}
	if err != nil {
		return 0, nil, err
	}
	return c.received()
}

// tryRead receives what is there; unix.EAGAIN when there is nothing.
func (c *channel) tryRead(p []byte) (n int, files []int, err error) {
	c.in = c.inbox.receive(c.fd, p, c.oob)
	return c.received()
}

func (c *channel) received() (n int, files []int, err error) {
	if c.in.err != nil {
		return 0, nil, c.in.err
	}
	if c.in.oobn > 0 {
		files = descriptors(c.oob[:c.in.oobn])
	}
	if c.in.flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		discardAll(files)
		return 0, nil, errors.New("frame is truncated")
	}
	return c.in.n, files, nil
}

// finish makes read give what is there and then end, instead of waiting.
func (c *channel) finish() {
	c.endReads()
	c.ours.SetReadDeadline(past())
}

// endReads has what is there be the last: a process that a worker left behind
// may hold its end, and send for ever.
func (c *channel) endReads() { unix.Shutdown(c.fd, unix.SHUT_RD) }

// send sends a frame with descriptors, without waiting: EAGAIN says that the
// worker has no room for it now.
func (c *channel) send(frame []byte, oob []byte) error {
	if c.taken < 0 {
		return errChannelClosed
	}
	return c.outbox.send(c.fd, frame, oob)
}

// takeBack receives, as the worker would have, the oldest frame that the
// worker has not. ok is false when there is none. Descriptors that came with
// it are closed: the request still has its own.
func (c *channel) takeBack() (frame []byte, ok bool) {
	if c.taken < 0 {
		return nil, false
	}
	if c.take == nil {
		c.take = make([]byte, maxFrame)
	}
	var oob [64]byte
	in := recvmsg(c.taken, c.take, oob[:])
	if in.err != nil || in.n == 0 {
		return nil, false
	}
	if in.oobn > 0 {
		closeAll(descriptors(oob[:in.oobn]))
	}
	return c.take[:in.n], true
}

func (c *channel) close() {
	if c.taken >= 0 {
		unix.Close(c.taken)
		c.taken = -1
	}
	if c.event != nil {
		c.event.Close()
		return
	}
	c.ours.Close()
}

func descriptors(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var all []int
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				unix.CloseOnExec(fd)
			}
			all = append(all, fds...)
		}
	}
	return all
}

// discardAll closes descriptors that a worker has chosen, beside the caller:
// closing some kinds of file waits for whoever is behind them.
func discardAll(fds []int) {
	if len(fds) > 0 {
		go closeAll(fds)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
