package appserver

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newLane makes a lane for that many requests, and returns what the worker
// inherits of it.
func newLane(requests int) (*lane, []*os.File, error) {
	size := laneLength(requests)
	length := laneHeader + 2*int(size)*laneEntry
	memory, err := pageFile(length)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make memory to share with a worker: %w", err)
	}
	l := &lane{size: size, ids: make([]uint32, size)}
	if l.mem, err = unix.Mmap(int(memory.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		memory.Close()
		return nil, nil, fmt.Errorf("cannot map memory to share with a worker: %w", err)
	}
	l.word(laneAsleep).Store(1) // until a loop says otherwise
	if l.tokens, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE); err == nil {
		var theirs int
		if theirs, err = unix.FcntlInt(uintptr(l.tokens), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			return l, []*os.File{memory, os.NewFile(uintptr(theirs), "tokens")}, nil
		}
		unix.Close(l.tokens)
	}
	memory.Close()
	unix.Munmap(l.mem)
	return nil, nil, fmt.Errorf("cannot make an eventfd: %w", err)
}

func (l *lane) close() {
	unix.Munmap(l.mem)
	unix.Close(l.tokens)
}

func (l *lane) addToken() bool {
	one := uint64(1)
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(l.tokens), uintptr(unsafe.Pointer(&one)), 8)
	return errno == 0
}

func (l *lane) takeToken() bool {
	var count uint64
	_, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(l.tokens), uintptr(unsafe.Pointer(&count)), 8)
	return errno == 0
}

// newArena makes the memory for a pool's request bodies.
func newArena() (*arena, error) {
	const length = arenaBlock * arenaBlocks
	f, err := pageFile(length)
	if err != nil {
		return nil, fmt.Errorf("cannot make memory to share with workers: %w", err)
	}
	a := &arena{file: f}
	if a.mem, err = unix.Mmap(int(f.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot map memory to share with workers: %w", err)
	}
	for i := range arenaBlocks {
		a.free = append(a.free, uint16(arenaBlocks-1-i))
	}
	return a, nil
}

func dropPages(b []byte) { unix.Madvise(b, unix.MADV_REMOVE) }
