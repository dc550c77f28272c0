package eventloop

import (
	"container/heap"
	"math"
	"sync"
	"sync/atomic"
)

// timer is the timer of a Descriptor's side, in the heap of its Loop.
type timer struct {
	due     atomic.Int64 // the present deadline, by the Loop's clock; 0: none
	armed   atomic.Int64 // when the timer fires, at or before due; never: it is not set
	index   int32        // in the heap
	writing bool         // the side is writing, not reading
}

const never = math.MaxInt64

func (t *timer) reset() { t.armed.Store(never) }

// timers are the deadlines of the sides of a Loop's Descriptors, earliest first.
type timers struct {
	mu    sync.Mutex
	heap  timerHeap
	first atomic.Int64 // when the first fires; never: none is set
	loop  *Loop
}

// set sets the deadline of s; 0: none. A timer that fires before due is not changed: next
// sets it again when it fires.
func (t *timers) set(s *side, due int64) {
	s.timer.due.Store(due)
	if due == 0 || due >= s.timer.armed.Load() {
		return
	}
	t.mu.Lock()
	fresh := s.timer.armed.Load() == never
	s.timer.armed.Store(due)
	if fresh {
		heap.Push(&t.heap, s)
	} else {
		heap.Fix(&t.heap, int(s.timer.index))
	}
	earlier := t.note()
	t.mu.Unlock()
	if earlier {
		t.loop.nudge()
	}
}

// note publishes when the first timer fires. It returns true if that is earlier than
// before.
func (t *timers) note() bool {
	first := int64(never)
	if len(t.heap) > 0 {
		first = t.heap[0].timer.armed.Load()
	}
	return t.first.Swap(first) > first
}

func (t *timers) remove(s *side) {
	s.timer.due.Store(0)
	if s.timer.armed.Load() == never {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.timer.armed.Load() != never {
		heap.Remove(&t.heap, int(s.timer.index))
		s.timer.armed.Store(never)
		t.note()
	}
}

// next returns a side whose deadline has passed; nil if there is none.
func (t *timers) next(now int64) *side {
	if t.first.Load() > now {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.note()
	for len(t.heap) > 0 {
		s := t.heap[0]
		if s.timer.armed.Load() > now {
			return nil
		}
		due := s.timer.due.Load()
		if due > now {
			s.timer.armed.Store(due)
			heap.Fix(&t.heap, 0)
			continue
		}
		heap.Pop(&t.heap)
		s.timer.armed.Store(never)
		// set may have moved the deadline meanwhile, and not set the timer because there was one.
		if due = s.timer.due.Load(); due > now {
			s.timer.armed.Store(due)
			heap.Push(&t.heap, s)
		} else if due != 0 {
			return s
		}
	}
	return nil
}

type timerHeap []*side

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timer.armed.Load() < h[j].timer.armed.Load() }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer.index, h[j].timer.index = int32(i), int32(j)
}
func (h *timerHeap) Push(x any) {
	s := x.(*side)
	s.timer.index = int32(len(*h))
	*h = append(*h, s)
}
func (h *timerHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
