package appserver

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	bundlePath = "/dev/fd/3"
	recvFlags  = 0
	noSignal   = 0
	dumpSignal = syscall.SIGUSR2
)

// socketPair returns datagram sockets: macOS has no SEQPACKET for unix sockets.
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

// endWrites gives each thread an empty datagram: datagrams have no end.
func (c *channel) endWrites(threads int) {
	for range threads {
		unix.SendmsgN(c.fd, nil, nil, nil, unix.MSG_DONTWAIT)
	}
}

func sealedFile(name string, data []byte) (*os.File, error) {
	f, err := unlinked(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

func pageFile(size int) (*os.File, error) {
	f, err := unlinked("alicorn-status")
	if err != nil {
		return nil, err
	}
	return f, f.Truncate(int64(size))
}

func unlinked(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// bellPair returns the two ends of a slot's bell.
func bellPair() (ours, theirs int, err error) {
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

func pipe(fds []int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(fds); err != nil {
		return err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return nil
}
