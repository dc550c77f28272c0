package wire

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is a worker's status page (PROTOCOL.md): for each slot a line of memory
// that both sides map. The worker may write anything anywhere in it: the front
// keeps its own copy of what it has written.
type Page []byte

// The words of a slot's line.
const (
	PageStride    = 64
	PageMark      = 0  // the worker's: id of the request that it started last
	PageHeartbeat = 8  // the worker's, in the first line: changes while Python runs
	PageLag       = 12 // the same's of an ASGI worker: milliseconds that its event loop was late
	PageGranted   = 32 // the front's: bytes of credit given, modulo 2^32
	PageCancelled = 36 // the front's: id of the request whose client has gone; 0: none
)

// NewPage returns a page and the worker's descriptor, for the caller to close.
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

// Word returns the word at that offset of a slot's line.
func (p Page) Word(slot, offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&p[slot*PageStride+offset]))
}

// Mark returns the id that the slot's thread wrote last.
func (p Page) Mark(slot int) uint32 { return p.Word(slot, PageMark).Load() }

// Close unmaps the page, which nobody uses any more.
func (p Page) Close() {
	if p != nil {
		unix.Munmap(p)
	}
}
