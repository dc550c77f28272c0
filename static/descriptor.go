package static

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptor is an open file that several requests and a cache share. Each is a holder. The
// file closes when the last holder releases it.
type descriptor struct {
	fd   int
	refs atomic.Int32
}

// newDescriptor returns a descriptor. The caller is the first holder.
func newDescriptor(fd int) *descriptor {
	d := &descriptor{fd: fd}
	d.refs.Store(1)
	return d
}

// hold adds a holder. It returns false if the last holder has already released d.
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
