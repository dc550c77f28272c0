package wire

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is memory that a pool shares with its workers, for request bodies of
// medium size: the front receives them where the worker reads them. It is an
// upstream.Blocks. The system allocates its pages when blocks are first used.
type Arena struct {
	memory *os.File // for workers to inherit
	mem    []byte

	mu     sync.Mutex
	free   []uint16 // free blocks; the one used last is taken first
	used   [arenaBlocks]bool
	closed bool
}

// A block holds one body. When all are taken, bodies are sent as larger ones are.
const (
	arenaBlock  = 128 << 10
	arenaBlocks = 512
)

// File returns the memory's descriptor, for workers to inherit. The arena closes it.
func (a *Arena) File() *os.File { return a.memory }

// Size returns the bytes of the memory.
func (a *Arena) Size() int { return arenaBlock * arenaBlocks }

// Take returns a block's first size bytes and their place in the arena; nil
// when size is too large or no block is free.
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

// Give returns a block from Take to the arena.
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

func (a *Arena) release() {
	if a.closed && len(a.free) == arenaBlocks {
		unix.Munmap(a.mem)
		a.memory.Close()
		a.mem = nil
	}
}
