package wire

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is a worker's status page (PROTOCOL.md): memory that both sides map, with a line for
// each slot. The worker can write every word of it, so the front does not rely on the words
// that it writes itself.
type Page []byte

// The size of a line, and the offsets of its words, in bytes.
const (
	PageStride    = 64
	PageMark      = 0  // of the worker: the id of the request that it has started last
	PageHeartbeat = 8  // of the worker, in the first line: it changes while Python runs
	PageLag       = 12 // of an ASGI worker, in the first line: by how many milliseconds its event loop was late
	PageGranted   = 32 // of the front: bytes of credit given, modulo 2^32
	PageCancelled = 36 // of the front: the id of the request whose client has gone; 0: none
)

// NewPage returns a page, and the worker's descriptor of it, which the caller closes.
func NewPage(slots int) (Page, *os.File, error) {
	f, err := pageFile(PageStride * slots)
	if err != nil {
		return nil, nil, err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, PageStride*slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot map a status page: %w", err)
	}
	return p, f, nil
}

// Word returns the word at offset of a slot's line.
func (p Page) Word(slot, offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&p[slot*PageStride+offset]))
}

// Mark returns the id of the request that the slot has started last.
func (p Page) Mark(slot int) uint32 { return p.Word(slot, PageMark).Load() }

// Close unmaps the page. It must not be used any more.
func (p Page) Close() {
	if p != nil {
		unix.Munmap(p)
	}
}
