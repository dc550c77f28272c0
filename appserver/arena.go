package appserver

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// arena is memory that a pool shares with its workers, for request bodies of
// medium size: the client's bytes are received where the worker reads them. It
// is an upstream.Shared. The system gives it pages as blocks are first used.
type arena struct {
	file *os.File // for workers to inherit
	mem  []byte

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

// Take returns a block's first size bytes and their place in the arena; nil
// when size is too large or no block is free.
func (a *arena) Take(size int64) (block []byte, offset int64) {
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
func (a *arena) Give(offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, uint16(offset/arenaBlock))
	a.release()
}

// trim gives the system back the pages of blocks that nobody has.
func (a *arena) trim() {
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

// close ends the arena once every block has come back.
func (a *arena) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.release()
}

func (a *arena) release() {
	if a.closed && len(a.free) == arenaBlocks {
		unix.Munmap(a.mem)
		a.file.Close()
		a.mem = nil
	}
}
