package keeper

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved is how many descriptors a Client and a Keeper hold back: a front is
// started with a few, a reopened log needs one.
const reserved = 8

// Reserve holds descriptors back for what must work when all others are used:
// the control API, logs, the start of a process. Its methods may be called
// from any goroutine, and on nil, which holds none.
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

// Spend calls f. When that fails for want of descriptors it calls f again with
// the reserved ones free, and holds back as many as there are afterwards.
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

// Close gives the descriptors back.
func (r *Reserve) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeAll(r.spare)
	r.spare, r.size = nil, 0
}

// fill holds back what is missing, as far as there are descriptors. r.mu is
// held, or r is not shared yet.
func (r *Reserve) fill() {
	for len(r.spare) < r.size {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.spare = append(r.spare, f)
	}
}

// Exhausted says that err is the want of descriptors, of the process or of the
// system.
func Exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }
