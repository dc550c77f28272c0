package eventloop

import (
	"os"
	"sync/atomic"
	"time"
)

// side is a Descriptor's reading or its writing, with its handler and its deadline. It has an
// owner, the goroutine that works on it, or it belongs to the Loop, which calls the handler.
type side struct {
	d       *Descriptor
	handler atomic.Pointer[Handler] // nil until there is one
	first   Handler                 // the first handler, kept here so that handler needs no allocation
	wake    chan struct{}           // ends the wait of a goroutine; nil until one waits
	timer   timer
}

// call sets the handler.
func (s *side) call(h Handler) {
	if h == nil {
		return
	}
	if s.handler.Load() == nil {
		s.first = h
		s.handler.Store(&s.first)
		return
	}
	s.handler.Store(&h)
}

// bit returns the bit of the Descriptor's state that is b for this side.
func (s *side) bit(b uint32) uint32 {
	if s.timer.writing {
		return b << writing
	}
	return b
}

// news returns the bits that end a wait for the side.
func (s *side) news() uint32 {
	if s.timer.writing {
		return roomNews
	}
	return readNews
}

// both returns the bit both for reading, and 0 for writing.
func (s *side) both() uint32 {
	if s.timer.writing {
		return 0
	}
	return both
}

// leave gives the side to the Loop until it has news or due has passed (0: never). If
// the state has one of the bits unless, leave returns false, and the caller owns the
// side.
func (s *side) leave(due int64, unless uint32) bool {
	s.deadline(due)
	for d := s.d; ; {
		state := d.state.Load()
		if state&unless != 0 {
			if state&s.bit(idle) == 0 || d.state.CompareAndSwap(state, state&^s.bit(idle)) {
				return false
			}
			continue
		}
		if state&s.bit(late) != 0 {
			if due != 0 && d.loop.clock() >= due {
				due = d.loop.clock() + int64(time.Millisecond)
			}
			s.deadline(due)
			continue
		}
		if d.state.CompareAndSwap(state, state&^s.bit(expired)|s.bit(idle)) {
			return true
		}
	}
}

// wait waits for news on the caller's goroutine. It returns os.ErrDeadlineExceeded after
// due (by the Loop's clock; 0: never). The caller must have detached.
func (s *side) wait(due int64) error {
	d := s.d
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	if due != 0 && d.loop.clock() >= due {
		return os.ErrDeadlineExceeded
	}
	s.deadline(due)
	for {
		state := d.state.Load()
		if state&s.news() != 0 {
			return nil
		}
		if state&s.bit(late) != 0 {
			if due != 0 && d.loop.clock() >= due {
				return os.ErrDeadlineExceeded
			}
			s.deadline(due)
			continue
		}
		if d.state.CompareAndSwap(state, (state|s.bit(waits))&^s.bit(expired)) {
			break
		}
	}
	if d.labors {
		d.Rest()
		defer d.Labor()
	}
	<-s.wake
	if state := d.state.Load(); state&s.news() == 0 && state&s.bit(expired) != 0 {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// deadline sets the deadline of the wait that is about to begin. If the deadline passes
// before the wait has begun, the bit late is set.
func (s *side) deadline(due int64) {
	if d := s.d; d.state.Load()&s.bit(late) != 0 {
		d.state.And(^s.bit(late))
	}
	s.d.loop.timers.set(s, due)
}

// expire ends the wait whose deadline has passed. If a goroutine waits, expire wakes it. run
// says that the caller must call the side's handler.
func (s *side) expire() (run bool) {
	d := s.d
	for {
		if due := s.timer.due.Load(); due == 0 || due > d.loop.clock() {
			return false // the deadline has moved, and has a timer
		}
		state := d.state.Load()
		var next uint32
		run = state&s.bit(idle) != 0
		tell := state&s.bit(waits) != 0
		if run || tell {
			next = state&^(s.bit(idle|waits)|s.both()) | s.bit(expired)
		} else {
			next = state | s.bit(late) // the owner works: a deadline only ends a wait
		}
		if d.state.CompareAndSwap(state, next) {
			if tell {
				s.tell()
			}
			return run
		}
	}
}

// tell ends the wait of a goroutine.
func (s *side) tell() {
	s.wake <- struct{}{}
	s.d.loop.readied.Store(true)
}
