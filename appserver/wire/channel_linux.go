package wire

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	recvFlags = unix.MSG_CMSG_CLOEXEC
	noSignal  = unix.MSG_NOSIGNAL
)

// socketPair returns two connected sockets that keep messages apart.
func socketPair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}

// isEmpty reports whether nothing waits at a socket. It never waits.
func isEmpty(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n == 0
}

// inbox has the arguments of recvmsg, so that receiving a frame does not allocate.
type inbox struct {
	header unix.Msghdr
	vector unix.Iovec
}

// receive receives a message without waiting. As it does not wait, it is a RawSyscall, of
// which the scheduler does not know.
func (b *inbox) receive(fd int, p, oob []byte) received {
	b.vector.Base = &p[0]
	b.vector.SetLen(len(p))
	b.header = unix.Msghdr{Iov: &b.vector, Control: &oob[0]}
	b.header.SetIovlen(1)
	b.header.SetControllen(len(oob))
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.header)), unix.MSG_DONTWAIT|recvFlags)
		switch errno {
		case 0:
			return received{n: int(n), oobn: int(b.header.Controllen), flags: int(b.header.Flags)}
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return received{err: unix.EAGAIN}
		}
		return received{err: errno}
	}
}

// outbox has the arguments of sendmsg, so that sending a frame does not allocate.
type outbox struct {
	header unix.Msghdr
	vector unix.Iovec
}

// send sends a message without waiting, also by a RawSyscall.
func (b *outbox) send(fd int, frame, oob []byte) error {
	b.vector.Base = &frame[0]
	b.vector.SetLen(len(frame))
	b.header = unix.Msghdr{Iov: &b.vector}
	b.header.SetIovlen(1)
	if len(oob) > 0 {
		b.header.Control = &oob[0]
		b.header.SetControllen(len(oob))
	}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.header)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			b.header, b.vector = unix.Msghdr{}, unix.Iovec{}
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}

// forceSendBuffer sets the size of a send buffer, also beyond the system's limit if the process
// may do that.
func forceSendBuffer(fd, size int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size)
}

// EndWrites sends the end to the worker.
func (c *Channel) EndWrites(int) { unix.Shutdown(c.fd, unix.SHUT_WR) }

// streamPair returns two connected sockets for a stream of bytes.
func streamPair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}
