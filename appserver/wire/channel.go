package wire

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// sendBuffer is asked for in both directions: room for the requests queued
// ahead of a worker, and for responses that the front has yet to read.
const sendBuffer = 1 << 20

// maxRights is how many descriptors the kernel lets one message carry. A buffer
// for fewer would have the kernel close the rest within recvmsg, where closing
// what a worker has chosen may wait.
const maxRights = 253

// Channel is the front's side of a worker's socket pair. Receiving belongs to
// one goroutine at a time; sending, taking back and Close to holders of the
// pool's lock.
type Channel struct {
	ours  *os.File // non-blocking, in the netpoller; nil where a loop polls
	Event *eventloop.Descriptor
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

// NewChannel returns the front's side, in loop if there is one, and the
// worker's end. The caller closes the latter once the worker has it.
func NewChannel(loop *eventloop.Loop) (*Channel, *os.File, error) {
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
	c := &Channel{fd: ours, taken: dup, oob: make([]byte, unix.CmsgSpace(maxRights*4))}
	if err := c.poll(loop); err != nil {
		unix.Close(theirs)
		unix.Close(dup)
		return nil, nil, fmt.Errorf("cannot make a worker's channel: %w", err)
	}
	return c, os.NewFile(uintptr(theirs), "worker channel"), nil
}

// poll has loop, or the netpoller, wait for the channel. It closes the
// descriptor where it fails.
func (c *Channel) poll(loop *eventloop.Loop) (err error) {
	if loop != nil {
		if c.Event, err = loop.Add(c.fd, nil, 0); err != nil {
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

// Read receives one frame into p, waiting for it, and the descriptors that
// came along. n is 0 at the end.
func (c *Channel) Read(p []byte) (n int, files []int, err error) {
	c.buf = p
	err = c.conn.Read(c.receive)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n, files, err = c.TryRead(p)
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

// TryRead receives what is there; unix.EAGAIN when there is nothing.
func (c *Channel) TryRead(p []byte) (n int, files []int, err error) {
	c.in = c.inbox.receive(c.fd, p, c.oob)
	return c.received()
}

func (c *Channel) received() (n int, files []int, err error) {
	if c.in.err != nil {
		return 0, nil, c.in.err
	}
	if c.in.oobn > 0 {
		files = descriptors(c.oob[:c.in.oobn])
	}
	if c.in.flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		DiscardAll(files)
		return 0, nil, errors.New("frame is truncated")
	}
	return c.in.n, files, nil
}

// Finish makes Read give what is there and then end, instead of waiting.
func (c *Channel) Finish() {
	c.EndReads()
	c.ours.SetReadDeadline(time.Unix(1, 0))
}

// EndReads has what is there be the last: a process that a worker left behind
// may hold its end, and send for ever.
func (c *Channel) EndReads() { unix.Shutdown(c.fd, unix.SHUT_RD) }

// Closed reports that Close was called: nothing can be sent or taken back.
func (c *Channel) Closed() bool { return c.taken < 0 }

// Send sends a frame with descriptors, without waiting: EAGAIN says that the
// worker has no room for it now.
func (c *Channel) Send(frame []byte, oob []byte) error {
	if c.Closed() {
		return errChannelClosed
	}
	return c.outbox.send(c.fd, frame, oob)
}

// TakeBack receives, as the worker would have, the oldest frame that the
// worker has not. ok is false when there is none. Descriptors that came with
// it are closed: the request still has its own.
func (c *Channel) TakeBack() (frame []byte, ok bool) {
	if c.Closed() {
		return nil, false
	}
	if c.take == nil {
		c.take = make([]byte, MaxFrame)
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

// Close closes both descriptors. Descriptors that the worker has left in the channel
// are closed with it, which may wait.
func (c *Channel) Close() {
	if c.taken >= 0 {
		unix.Close(c.taken)
		c.taken = -1
	}
	if c.Event != nil {
		c.Event.Close()
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

// DiscardAll closes descriptors that a worker has chosen, beside the caller:
// closing some kinds of file waits for whoever is behind them.
func DiscardAll(fds []int) {
	if len(fds) > 0 {
		go closeAll(fds)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
