package eventloop

import (
	"sync"
	"sync/atomic"
)

// later is the work that handlers have put off to the end of the turn.
type later struct {
	some  atomic.Bool // there may be work: a turn without any takes no lock
	mu    sync.Mutex
	work  []Handler
	first int // the index in work of the next one
}

// Later makes the Loop call h once, as the last work of the present turn, or of the next
// one if the caller does not lead. h can so send at once what several handlers of a turn have
// gathered. h may call Later again. Any goroutine may call Later.
func (l *Loop) Later(h Handler) {
	l.later.mu.Lock()
	l.later.work = append(l.later.work, h)
	l.later.mu.Unlock()
	l.later.some.Store(true)
	l.nudge()
}

// LaterInTurn is Later that does nothing and returns false while the Loop waits.
func (l *Loop) LaterInTurn(h Handler) bool {
	if l.waiting.Load() {
		return false
	}
	l.Later(h)
	return true
}

// Later is Loop.Later for the Loop that t leads, or has led. If t is nil, it does nothing
// and returns false.
func (t *Turn) Later(h Handler) bool {
	if t == nil {
		return false
	}
	t.loop.Later(h)
	return true
}

// take returns the next work; nil if there is none.
func (w *later) take() (h Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == len(w.work) {
		w.some.Store(false)
		w.work, w.first = w.work[:0], 0
		return nil
	}
	h, w.work[w.first] = w.work[w.first], nil
	w.first++
	return h
}

// finishTurn does what was put off. It stops when another goroutine leads, which then
// does the rest.
func (l *Loop) finishTurn(t *Turn) (leads bool) {
	for l.later.some.Load() {
		h := l.later.take()
		if h == nil {
			break
		}
		t.behind = 1 // there may be more
		t.enter()
		h.Ready(t)
		if !t.leave() {
			return false
		}
	}
	return true
}
