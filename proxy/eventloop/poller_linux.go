package eventloop

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance, and an eventfd that ends its waits.
type poller struct {
	ep, bell int
	events   [128]unix.EpollEvent
}

const (
	bellFD      = -1 // the descriptor in the eventfd's events
	readEvents  = unix.EPOLLIN | unix.EPOLLRDHUP
	acceptFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
)

func newPoller() (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make an epoll instance: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("cannot make an eventfd: %w", err)
	}
	p := &poller{ep: ep, bell: bell}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: bellFD}); err != nil {
		p.close()
		return nil, fmt.Errorf("cannot poll an eventfd: %w", err)
	}
	return p, nil
}

func (p *poller) close() {
	unix.Close(p.ep)
	unix.Close(p.bell)
}

// watch registers fd for reading and, if write is set, for writing.
func (p *poller) watch(fd int, tag int32, write bool) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, tag, write)
}

// rewatch is watch for an fd that is registered already. The poller reports its
// readiness once more.
func (p *poller) rewatch(fd int, tag int32, write bool) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, tag, write)
}

func (p *poller) control(op, fd int, tag int32, write bool) error {
	e := unix.EpollEvent{Events: readEvents | unix.EPOLLET, Fd: int32(fd), Pad: tag}
	if write {
		e.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.ep, op, fd, &e)
}

// watchListener registers a listening socket. A new connection wakes one Loop of many.
func (p *poller) watchListener(fd int, tag int32) error {
	return unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE, Fd: int32(fd), Pad: tag})
}

func (p *poller) forget(fd int) { unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil) }

// poll takes the events that are there, without waiting, and returns their number. The raw
// call does not tell Go's scheduler, which is right because it never blocks.
func (p *poller) poll() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// pending reports whether there are events, and takes none.
func (p *poller) pending() bool {
	fd := unix.PollFd{Fd: int32(p.ep), Events: unix.POLLIN}
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fd)), 1, uintptr(unsafe.Pointer(&unix.Timespec{})), 0, 0, 0)
	return errno == 0 && n > 0
}

// wait waits for events, at most for d; without limit if d is negative.
func (p *poller) wait(d time.Duration) int {
	ms := -1
	if d >= 0 {
		ms = int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	n, err := unix.EpollWait(p.ep, p.events[:], ms)
	if err != nil {
		return 0
	}
	return n
}

// yield lets other threads run that wait for this processor. It does not tell Go's scheduler,
// as poll.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// giveWay is yield for a goroutine that does not lead. It tells Go's scheduler, so that a
// garbage collection need not wait until this thread runs again.
func giveWay() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// ring ends a wait.
func (p *poller) ring() {
	one := uint64(1)
	unix.Write(p.bell, (*[8]byte)(unsafe.Pointer(&one))[:])
}

func (p *poller) event(i int) (fd int, tag int32, ready uint32) {
	e := &p.events[i]
	if e.Events&(unix.EPOLLIN|unix.EPOLLPRI) != 0 {
		ready |= readable
	}
	if e.Events&unix.EPOLLOUT != 0 {
		ready |= writable
	}
	if e.Events&unix.EPOLLRDHUP != 0 {
		ready |= halfClosed
	}
	if e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		ready |= dead
	}
	return int(e.Fd), e.Pad, ready
}

// silence empties the eventfd, so that a later ring is an edge again.
func (p *poller) silence() {
	var b [8]byte
	unix.Read(p.bell, b[:])
}

// socket makes a non-blocking stream socket.
func socket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// read, readBoth and write are for non-blocking sockets.
func read(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

// readBoth reads into a and, once that is full, into b. Neither is empty.
func readBoth(fd int, a, b []byte) (int, error) {
	vector := [2]unix.Iovec{{Base: &a[0]}, {Base: &b[0]}}
	vector[0].SetLen(len(a))
	vector[1].SetLen(len(b))
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&vector)), uintptr(len(vector)))
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

func write(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

// outcome returns the result of a call. EAGAIN, which is common, is returned as a
// constant: converting any other Errno to an error allocates.
func outcome(n uintptr, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN:
		return 0, unix.EAGAIN
	}
	return 0, errno
}

// writev writes two buffers in one call. Its fields are kept between calls, so that a
// call allocates nothing.
type writev struct {
	header unix.Msghdr
	vector [2]unix.Iovec
}

func (w *writev) write(fd int, a, b []byte) (int, error) {
	defer func() { *w = writev{} }()
	w.vector[0].Base, w.vector[1].Base = &a[0], &b[0]
	w.vector[0].SetLen(len(a))
	w.vector[1].SetLen(len(b))
	w.header.Iov = &w.vector[0]
	w.header.SetIovlen(2)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&w.header)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

// accept and sockname replace those of x/sys, which make one more system call to ask the
// socket for its protocol.
func accept(fd int) (int, unix.Sockaddr, error) {
	var raw unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)), acceptFlags, 0, 0)
	if errno != 0 {
		_, err := outcome(0, errno)
		return -1, nil, err
	}
	if sa := internetAddr(&raw); sa != nil {
		return int(n), sa, nil
	}
	sa, _ := unix.Getpeername(int(n))
	return int(n), sa, nil
}

func sockname(fd int) (unix.Sockaddr, error) {
	var raw unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if sa := internetAddr(&raw); sa != nil && errno == 0 {
		return sa, nil
	}
	return unix.Getsockname(fd)
}

// internetAddr returns nil for other families.
func internetAddr(raw *unix.RawSockaddrAny) unix.Sockaddr {
	switch raw.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return &unix.SockaddrInet4{Port: hostOrder(a.Port), Addr: a.Addr}
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(raw))
		return &unix.SockaddrInet6{Port: hostOrder(a.Port), ZoneId: a.Scope_id, Addr: a.Addr}
	}
	return nil
}

func hostOrder(port uint16) int {
	return int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&port))[:]))
}

// unsent returns how many bytes written to the socket fd its peer has not
// acknowledged.
func unsent(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
