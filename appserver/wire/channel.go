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

// sendBuffer is the size of the send buffers in both directions, in bytes: for requests that
// wait at a worker, and for responses that the front has not read yet.
const sendBuffer = 1 << 20

// maxRights is how many descriptors the kernel allows in one message. With a smaller buffer
// the kernel would close the others within recvmsg, and closing a descriptor that a worker has
// chosen may wait.
const maxRights = 253

// Channel is the front's end of a worker's channel. One goroutine at a time may receive.
// Holders of the pool's lock may call Send, TakeBack and Close.
type Channel struct {
	ours  *os.File              // in the netpoller; nil with a loop
	Event *eventloop.Descriptor // nil without a loop
	fd    int                   // the front's end, non-blocking
	conn  syscall.RawConn       // of ours
	taken int                   // a duplicate of the worker's end, which stays blocking; -1 after Close

	receive func(fd uintptr) bool
	in      received // the result of receive
	inbox   inbox
	outbox  outbox
	buf     []byte // the memory for receive
	oob     []byte // the memory for descriptors
	take    []byte // the memory for TakeBack
	held    bool   // the worker holds its end: nothing is received there any more
}

// received is the result of a recvmsg.
type received struct {
	n, oobn, flags int
	err            error
}

var (
	errChannelClosed = errors.New("channel is closed")
	errHeld          = errors.New("it holds its end of the channel, so that no request can be taken back")
)

// NewChannel returns the front's end, which loop polls unless it is nil, and the worker's
// end, which the caller closes once the worker has it.
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

// poll adds the channel to loop, or to the netpoller if loop is nil. If it fails, it closes
// the front's end.
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

// enlarge sets a larger send buffer, as far as the kernel allows.
func enlarge(fd int) {
	if forceSendBuffer(fd, sendBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

// recvmsg receives without waiting. Without oob it receives no descriptors.
func recvmsg(fd int, p, oob []byte) received {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT|recvFlags)
		if err == unix.EINTR {
			continue
		}
		return received{n, oobn, flags, err}
	}
}

// Read receives a frame into p, and the descriptors that came with it. It waits for the
// frame. n is 0 at the end. Read is for channels without a loop.
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

// TryRead is Read, but returns unix.EAGAIN instead of waiting.
func (c *Channel) TryRead(p []byte) (n int, files []int, err error) {
	c.in = c.inbox.receive(c.fd, p, c.oob)
	return c.received()
}

// received returns the result of receive.
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

// Finish is EndReads for a channel without a loop: a Read that waits ends, too.
func (c *Channel) Finish() {
	c.EndReads()
	c.ours.SetReadDeadline(time.Unix(1, 0))
}

// EndReads makes the frames that have come the last ones. A process that a worker has left
// behind may hold the worker's end, and send for ever.
func (c *Channel) EndReads() { unix.Shutdown(c.fd, unix.SHUT_RD) }

// Closed reports whether Close was called.
func (c *Channel) Closed() bool { return c.taken < 0 }

// Send sends a frame, with descriptors in oob. It returns unix.EAGAIN if there is no room now.
func (c *Channel) Send(frame []byte, oob []byte) error {
	if c.Closed() {
		return errChannelClosed
	}
	return c.outbox.send(c.fd, frame, oob)
}

// TakeBack receives the oldest frame that the worker has not received, at the worker's end.
// ok is false if there is none. frame is valid until the next call. The descriptors of the
// frame are closed: the request has its own. There is no room for descriptors, so that none is
// made, also not one of another kind: the worker may have set options of the socket that add some.
//
// err is errHeld if the worker holds its end. The system copies a frame to a thread that receives
// while it holds the socket's lock, and the copy waits for as long as the worker likes if the
// thread's memory is a file of a file system that the worker serves. So another goroutine
// receives, and TakeBack does not wait for it for ever.
func (c *Channel) TakeBack() (frame []byte, ok bool, err error) {
	if c.Closed() || c.held || isEmpty(c.taken) {
		return nil, false, nil
	}
	if c.take == nil {
		c.take = make([]byte, MaxFrame)
	}
	came := make(chan received, 1)
	go func(fd int, p []byte) { came <- recvmsg(fd, p, nil) }(c.taken, c.take)
	var in received
	if in, c.held = await(came); c.held {
		return nil, false, errHeld
	}
	if in.err != nil || in.n == 0 {
		return nil, false, nil
	}
	return c.take[:in.n], true, nil
}

// A frame is taken back within holds * holdPause, or the worker holds its end. With several pauses
// a process that was stopped itself does not find so.
const (
	holds     = 10
	holdPause = 30 * time.Millisecond
)

// await returns what comes. held reports that nothing has come in time.
func await(came chan received) (in received, held bool) {
	pause := time.NewTimer(holdPause)
	defer pause.Stop()
	for range holds {
		select {
		case in = <-came:
			return in, false
		case <-pause.C:
			pause.Reset(holdPause)
		}
	}
	return in, true
}

// Close closes the channel. This also closes descriptors that the worker has left in it, which
// may wait.
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

// descriptors returns the descriptors of a message.
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

// DiscardAll closes descriptors that a worker has chosen, on another goroutine: closing some
// kinds of file waits, such as for a server.
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
