package keeper

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved is how many descriptors a Client and a Keeper hold back. Starting a
// front takes a few, reopening a log takes one.
const reserved = 8

// Reserve holds descriptors back, so that the control API, logs and the start of
// a process work when all other descriptors are used. Methods may be called from
// any goroutine, and on nil, which holds none.
type Reserve struct {
	mu    sync.Mutex
	size  int
	spare []*os.File
}

// NewReserve returns a Reserve of that many descriptors.
func NewReserve(size int) *Reserve {
	r := &Reserve{size: size}
	r.fill()
	return r
}

// Spend calls f. When f fails because no descriptor is left, Spend frees the
// reserved ones, calls f again, and then holds back as many as it can.
func (r *Reserve) Spend(f func() error) error {
	err := f()
	if r == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.fill()
	if !Exhausted(err) || len(r.spare) == 0 {
		return err
	}
	closeAll(r.spare)
	r.spare = nil
	return f()
}

// Close frees the descriptors.
func (r *Reserve) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeAll(r.spare)
	r.spare, r.size = nil, 0
}

// fill opens the missing descriptors, as far as the system allows. r.mu is held,
// or r is not shared yet.
func (r *Reserve) fill() {
	for len(r.spare) < r.size {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.spare = append(r.spare, f)
	}
}

// Exhausted reports whether err says that the process or the system has no
// descriptor left.
func Exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }
