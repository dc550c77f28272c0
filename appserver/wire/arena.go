package wire

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is memory that a pool shares with its workers, for request bodies of
// medium size: the client's bytes are received where the worker reads them. It
// is an upstream.Shared. The system gives it pages as blocks are first used.
type Arena struct {
	memory *os.File // for workers to inherit
	mem    []byte

	mu     sync.Mutex
	free   []uint16 // used last, taken first
	used   [arenaBlocks]bool
	closed bool
}

// A block holds one body. When all are taken, bodies go as larger ones do.
const (
	arenaBlock  = 128 << 10
	arenaBlocks = 512
)

// File returns the memory's descriptor, for workers to inherit. It stays the arena's to close.
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

// Give returns a block that Take gave.
func (a *Arena) Give(offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, uint16(offset/arenaBlock))
	a.release()
}

// Trim gives the system back the pages of blocks that nobody has.
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

// Close ends the arena once every block has come back.
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
