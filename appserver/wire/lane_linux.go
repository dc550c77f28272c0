package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewLane returns a lane for requests requests, and the worker's descriptor of it, which the
// caller closes. All counts begin at begin, which is 0 except in tests. On systems without
// memory that the worker cannot shorten, the lane is nil.
func NewLane(requests int, begin uint32) (*Lane, *os.File, error) {
	size := laneLength(requests)
	l := &Lane{size: size, ids: make([]uint32, size), puts: begin, taken: begin, low: begin, high: begin, reads: begin}
	length := l.Geometry().Bytes()
	memory, err := pageFile(length)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make memory to share with a worker: %w", err)
	}
	if l.mem, err = unix.Mmap(int(memory.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		memory.Close()
		return nil, nil, fmt.Errorf("cannot map memory to share with a worker: %w", err)
	}
	for _, count := range []int{LanePut, LaneTaken, LaneAnswered, LaneRead} {
		l.word(count).Store(begin)
	}
	l.Sleep(true) // until a loop polls the lane
	return l, memory, nil
}

// Close unmaps the memory. The lane must not be used any more.
func (l *Lane) Close() { unix.Munmap(l.mem) }
