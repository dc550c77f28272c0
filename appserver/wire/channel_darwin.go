package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	recvFlags = 0
	noSignal  = 0
)

// socketPair returns two connected datagram sockets, as macOS has no SOCK_SEQPACKET for unix
// sockets.
func socketPair() (ours, theirs int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return -1, -1, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, sendBuffer)
	}
	return fds[0], fds[1], nil
}

// isEmpty returns false: nothing is known of a socket before it is read.
func isEmpty(int) bool { return false }

type inbox struct{}

func (inbox) receive(fd int, p, oob []byte) received { return recvmsg(fd, p, oob) }

type outbox struct{}

func (outbox) send(fd int, frame, oob []byte) error {
	for {
		_, err := unix.SendmsgN(fd, frame, oob, nil, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err
		}
	}
}

func forceSendBuffer(fd, size int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
}

// EndWrites sends an empty datagram for each thread, as datagram sockets have no end.
func (c *Channel) EndWrites(threads int) {
	for range threads {
		unix.SendmsgN(c.fd, nil, nil, nil, unix.MSG_DONTWAIT)
	}
}

// streamPair returns two connected sockets for a stream of bytes.
func streamPair() (ours, theirs int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, -1, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	return fds[0], fds[1], nil
}
