package wire

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NewArena returns an Arena.
func NewArena() (*Arena, error) {
	const length = arenaBlock * arenaBlocks
	f, err := pageFile(length)
	if err != nil {
		return nil, fmt.Errorf("cannot make memory to share with workers: %w", err)
	}
	a := &Arena{memory: f}
	if a.mem, err = unix.Mmap(int(f.Fd()), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot map memory to share with workers: %w", err)
	}
	for i := range arenaBlocks {
		a.free = append(a.free, uint16(arenaBlocks-1-i))
	}
	return a, nil
}

// dropPages frees the pages of b.
func dropPages(b []byte) { unix.Madvise(b, unix.MADV_REMOVE) }
