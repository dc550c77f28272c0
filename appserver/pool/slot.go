package pool

import (
	"os"
	"sync"
	"sync/atomic"

	"alicorn/appserver/wire"
)

// slot is one thread of a worker, and the credit for what it may send.
type slot struct {
	current *Job // under the pool's lock
	credit  atomic.Int64
	owed    atomic.Int64

	mu      sync.Mutex
	closed  bool
	page    wire.Page
	index   int
	granted uint32 // what the page says
	bell    wire.Bell
}

// open readies the slot; it returns the worker's end of its bell.
func (s *slot) open(p wire.Page, index int) (*os.File, error) {
	s.page, s.index = p, index
	s.credit.Store(Window)
	b, f, err := wire.NewBell()
	s.bell, s.closed = b, err != nil
	return f, err
}

// repay returns n bytes of credit to the slot, by batches.
func (s *slot) repay(n int64) {
	if n == 0 || s.owed.Add(n) < Window/2 {
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
		s.page.Word(s.index, wire.PageGranted).Store(s.granted)
		s.bell.Ring()
	}
}

// answer notes that the slot answers j by several frames. It returns false where it answers
// another job. The pool's lock is held.
func (s *slot) answer(j *Job) bool {
	if s.current != nil {
		return false
	}
	s.current = j
	return true
}

// leave notes that j has ended. The pool's lock is held.
func (s *slot) leave(j *Job) {
	if s.current == j {
		s.current = nil
	}
}

// cancel tells the slot that nobody waits for the answer to request id, which
// it runs.
func (s *slot) cancel(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.page.Word(s.index, wire.PageCancelled).Store(id)
		s.bell.Ring()
	}
}

// forget takes back what cancel has said of request id, which has ended: ids
// are used again.
func (s *slot) forget(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.page.Word(s.index, wire.PageCancelled).CompareAndSwap(id, 0)
	}
}

// close ends the slot, whose process has ended.
func (s *slot) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.page != nil {
		s.bell.Close()
	}
	s.closed = true
}
