package appserver

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newLane makes a lane for that many requests, and returns the worker's
// descriptor of it, for the caller to close.
func newLane(requests int) (*lane, *os.File, error) {
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
	l.sleep(true) // until a loop says otherwise
	return l, memory, nil
}

func (l *lane) close() { unix.Munmap(l.mem) }

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
