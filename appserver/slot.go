package appserver

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// slot is one thread of a worker, and the credit for what it may send.
type slot struct {
	current *request // under the pool's lock
	credit  atomic.Int64
	owed    atomic.Int64

	mu      sync.Mutex
	closed  bool
	page    page
	index   int
	granted uint32 // what the page says
	bell    bell
}

// open readies the slot; it returns the worker's end of its bell.
func (s *slot) open(p page, index int) (*os.File, error) {
	s.page, s.index = p, index
	s.credit.Store(window)
	b, f, err := newBell()
	s.bell, s.closed = b, err != nil
	return f, err
}

// repay returns n bytes of credit to the slot, by batches.
func (s *slot) repay(n int64) {
	if n == 0 || s.owed.Add(n) < window/2 {
		return
	}
	n = s.owed.Swap(0)
	if n == 0 {
		return
	}
	s.credit.Add(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.granted += uint32(n)
		s.page.word(s.index, pageGranted).Store(s.granted)
		s.bell.ring()
	}
}

// cancel tells the slot that nobody waits for the answer to request id, which
// it runs.
func (s *slot) cancel(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.page.word(s.index, pageCancelled).Store(id)
		s.bell.ring()
	}
}

// forget takes back what cancel has said of request id, which has ended: ids
// are used again.
func (s *slot) forget(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.page.word(s.index, pageCancelled).CompareAndSwap(id, 0)
	}
}

// close ends the slot, whose process has ended.
func (s *slot) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.page != nil {
		s.bell.close()
	}
	s.closed = true
}

// bell wakes a thread that waits for what its page says. It is a socket of the
// front's own: nothing that a worker does to its end can make ringing wait, as
// it could where both share one description (an eventfd, whose flags are the
// worker's too).
type bell struct{ fd int }

// newBell returns the front's end, and the worker's for the caller to close.
func newBell() (bell, *os.File, error) {
	ours, theirs, err := bellPair()
	if err != nil {
		return bell{-1}, nil, fmt.Errorf("cannot make a socket to wake a worker's thread: %w", err)
	}
	return bell{ours}, os.NewFile(uintptr(theirs), "bell"), nil
}

// ring wakes the thread, now or when it next waits. A bell that is full of
// rings that the worker has not heard needs no other.
func (b bell) ring() {
	one := [1]byte{1}
	unix.SendmsgN(b.fd, one[:], nil, nil, unix.MSG_DONTWAIT|noSignal)
}

func (b bell) close() { unix.Close(b.fd) }
