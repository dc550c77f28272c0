package appserver

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	bundlePath = "/proc/self/fd/3"
	recvFlags  = unix.MSG_CMSG_CLOEXEC
	noSignal   = unix.MSG_NOSIGNAL
	// dumpSignal asks a worker for its Python stacks: a real-time signal that
	// neither libc nor applications are known to use.
	dumpSignal = syscall.Signal(54)
)

func socketPair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}

// inbox and outbox are the arguments of recvmsg and sendmsg, kept so that a
// frame costs no allocation. Neither call waits, so the scheduler need not be
// told of them.
type inbox struct {
	header unix.Msghdr
	vector unix.Iovec
}

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

type outbox struct {
	header unix.Msghdr
	vector unix.Iovec
}

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

func forceSendBuffer(fd, size int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size)
}

// endWrites gives the worker the end of its channel.
func (c *channel) endWrites(int) { unix.Shutdown(c.fd, unix.SHUT_WR) }

// sealedFile returns an unnamed file in memory that nobody can change.
func sealedFile(name string, data []byte) (*os.File, error) {
	f, err := memoryFile(name, unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot seal %s: %w", name, err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

func memoryFile(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// pageFile returns a file of size zeros for the status page. It is sealed
// against shrinking: a shorter file would kill the process that reads its map.
func pageFile(size int) (*os.File, error) {
	f, err := memoryFile("alicorn-status", unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// bellPair returns the two ends of a slot's bell.
func bellPair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}

func pipe(fds []int) error { return unix.Pipe2(fds, unix.O_CLOEXEC) }
