package static

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptor is an open file that several requests and a cache share. It is
// closed when the last of them releases it.
type descriptor struct {
	fd   int
	refs atomic.Int32
}

// newDescriptor returns a descriptor with its caller as the first holder.
func newDescriptor(fd int) *descriptor {
	d := &descriptor{fd: fd}
	d.refs.Store(1)
	return d
}

// hold adds a holder. It returns false when the last one has already released the descriptor.
func (d *descriptor) hold() bool {
	for {
		n := d.refs.Load()
		if n == 0 {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (d *descriptor) release() {
	if d.refs.Add(-1) == 0 {
		unix.Close(d.fd)
	}
}
