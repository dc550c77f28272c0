package wire

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is memory that a pool shares with its workers, for request bodies of medium size: the
// front receives a body where the worker reads it. It implements upstream.Blocks. The system
// allocates its pages when blocks are first used. A nil Arena has no blocks.
type Arena struct {
	memory *os.File // workers inherit it
	mem    []byte

	mu     sync.Mutex
	free   []uint16          // the free blocks; Take takes the last one
	used   [arenaBlocks]bool // blocks whose pages the system may have allocated
	closed bool
}

// A block holds one body. A body for which no block is free is sent as a larger one is.
const (
	arenaBlock  = 128 << 10
	arenaBlocks = 512
)

// File returns the descriptor of the memory, for workers. The arena closes it.
func (a *Arena) File() *os.File { return a.memory }

// Size returns the size of the memory, in bytes.
func (a *Arena) Size() int { return arenaBlock * arenaBlocks }

// Take returns the first size bytes of a block, and its offset in the arena. block is nil if
// size is too large or no block is free.
func (a *Arena) Take(size int64) (block []byte, offset int64) {
	if a == nil || size > arenaBlock {
		return nil, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.free) == 0 || a.closed {
		return nil, 0
	}
	i := a.free[len(a.free)-1]
	a.free = a.free[:len(a.free)-1]
	a.used[i] = true
	offset = int64(i) * arenaBlock
	return a.mem[offset : offset+size : offset+size], offset
}

// Give gives back the block of Take at offset.
func (a *Arena) Give(offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, uint16(offset/arenaBlock))
	a.release()
}

// Trim frees the pages of blocks that are not in use.
func (a *Arena) Trim() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.free {
		if a.used[i] && !a.closed {
			a.used[i] = false
			dropPages(a.mem[int(i)*arenaBlock:][:arenaBlock])
		}
	}
}

// Close releases the memory once all blocks are free.
func (a *Arena) Close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.release()
}

// release releases the memory if that is due. The caller holds mu.
func (a *Arena) release() {
	if a.closed && len(a.free) == arenaBlocks {
		unix.Munmap(a.mem)
		a.memory.Close()
		a.mem = nil
	}
}
