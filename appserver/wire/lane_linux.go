package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewLane makes a lane for that many requests, and returns the worker's
// descriptor of it, for the caller to close. All counts begin at begin: 0 but in
// tests of what happens when they pass 2^32. Where the system has no memory to
// share that nobody can shorten, the lane is nil.
func NewLane(requests int, begin uint32) (*Lane, *os.File, error) {
	size := laneLength(requests)
	length := LaneHeader + 2*int(size)*LaneEntry
	memory, err := pageFile(length)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make memory to share with a worker: %w", err)
	}
	l := &Lane{size: size, ids: make([]uint32, size), puts: begin, reads: begin}
	if l.mem, err = unix.Mmap(int(memory.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		memory.Close()
		return nil, nil, fmt.Errorf("cannot map memory to share with a worker: %w", err)
	}
	for _, count := range []int{LanePut, LaneTaken, LaneAnswered, LaneRead} {
		l.word(count).Store(begin)
	}
	l.Sleep(true) // until a loop says otherwise
	return l, memory, nil
}

// Close unmaps the memory. Nobody may use the lane any more.
func (l *Lane) Close() { unix.Munmap(l.mem) }
