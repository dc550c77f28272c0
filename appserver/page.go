package appserver

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// page is a worker's status page (PROTOCOL.md): for each slot a line of memory
// that both sides map. The worker may write anything anywhere in it: the front
// keeps its own copy of what it has written.
type page []byte

// The words of a slot's line.
const (
	pageStride    = 64
	pageMark      = 0  // the worker's: id of the request that it started last
	pageHeartbeat = 8  // the worker's, in the first line: changes while Python runs
	pageGranted   = 32 // the front's: bytes of credit given, modulo 2^32
	pageCancelled = 36 // the front's: id of the request whose client has gone; 0: none
)

// newPage returns a page and the worker's descriptor, for the caller to close.
func newPage(slots int) (page, *os.File, error) {
	f, err := pageFile(pageStride * slots)
	if err != nil {
		return nil, nil, err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, pageStride*slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot map a status page: %w", err)
	}
	return p, f, nil
}

func (p page) word(slot, offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&p[slot*pageStride+offset]))
}

// mark returns the id that the slot's thread wrote last.
func (p page) mark(slot int) uint32 { return p.word(slot, pageMark).Load() }

// close unmaps the page, which nobody uses any more.
func (p page) close() {
	if p != nil {
		unix.Munmap(p)
	}
}
