package pool

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"

	"alicorn/appserver/wire"
)

// slot answers one request at a time: a thread of a worker, or a place in the table of an ASGI
// worker.
type slot struct {
	current *Job // answered by several frames; under the pool's lock
	account
}

// account is the credit of a slot for the bytes that it may send, and the way to tell the slot
// about it.
type account interface {
	// begin begins the account of request id. A thread keeps its account from one request
	// to the next.
	begin(id uint32)
	// spend takes n bytes from the credit. It returns false if there is not so much.
	spend(n int64) bool
	// repay gives credit for n bytes that request id has sent. The slot gets it in batches.
	repay(id uint32, n int64)
	// cancel tells the slot that nobody waits for the answer to request id, which it runs.
	cancel(id uint32, why wire.Cancelling)
	// forget revokes cancel for request id, which has ended, as ids are used again.
	forget(id uint32)
	// close ends the account. The process has ended.
	close()
}

// answer notes that the slot answers j by several frames. It returns false if it answers
// another job. The caller holds the pool's lock.
func (s *slot) answer(j *Job) bool {
	if s.current != nil {
		return false
	}
	s.current = j
	return true
}

// leave notes that j has ended. The caller holds the pool's lock.
func (s *slot) leave(j *Job) {
	if s.current == j {
		s.current = nil
	}
}

// thread is the account of a thread, which is told by its line of the status page and its bell.
type thread struct {
	credit atomic.Int64
	owed   atomic.Int64 // credit that the thread was not given yet

	mu      sync.Mutex
	closed  bool
	page    wire.Page
	index   int    // its line
	granted uint32 // the value of wire.PageGranted
	bell    wire.Bell
}

// newThread returns an account, and the worker's end of its bell.
func newThread(p wire.Page, index int) (*thread, *os.File, error) {
	t := &thread{page: p, index: index}
	t.credit.Store(Window)
	b, f, err := wire.NewBell()
	t.bell, t.closed = b, err != nil
	return t, f, err
}

func (*thread) begin(uint32) {}

func (t *thread) spend(n int64) bool { return t.credit.Add(-n) >= 0 }

func (t *thread) repay(_ uint32, n int64) {
	if n == 0 || t.owed.Add(n) < Window/2 {
		return
	}
	n = t.owed.Swap(0)
	if n == 0 {
		return
	}
	t.credit.Add(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.granted += uint32(n)
		t.page.Word(t.index, wire.PageGranted).Store(t.granted)
		t.bell.Ring()
	}
}

func (t *thread) cancel(id uint32, _ wire.Cancelling) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.page.Word(t.index, wire.PageCancelled).Store(id)
		t.bell.Ring()
	}
}

func (t *thread) forget(id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.page.Word(t.index, wire.PageCancelled).CompareAndSwap(id, 0)
	}
}

func (t *thread) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.bell.Close()
	}
	t.closed = true
}

// stream is the account of one place of an ASGI worker, which is told by the stream channel.
// Each request begins with a credit of Window.
type stream struct {
	channel *wire.Streams
	place   int

	mu     sync.Mutex
	id     uint32 // of the request that has begun last
	credit int64
	owed   int64 // credit that the request was not given yet
}

func (s *stream) begin(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.credit, s.owed = id, Window, 0
}

func (s *stream) spend(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit -= n
	return s.credit >= 0
}

func (s *stream) repay(id uint32, n int64) {
	if n = s.due(id, n); n > 0 {
		s.channel.Put(nil, wire.KindCredit, 0, s.place, id, binary.LittleEndian.AppendUint32(nil, uint32(n)), nil)
	}
}

// due adds n to the credit that request id is owed, and returns the credit that it gets now: a
// batch, or 0.
func (s *stream) due(id uint32, n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != id {
		return 0 // it has ended
	}
	if s.owed += n; s.owed < Window/2 {
		return 0
	}
	n, s.owed = s.owed, 0
	s.credit += n
	return n
}

func (s *stream) cancel(id uint32, why wire.Cancelling) {
	s.channel.Put(nil, wire.KindCancel, 0, s.place, id, []byte{byte(why)}, nil)
}

func (*stream) forget(uint32) {}

func (*stream) close() {}
