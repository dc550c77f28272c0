package pool

import (
	"fmt"
	"slices"
	"time"
)

// reconcile starts, retires and kills workers as the state of the pool requires. It
// returns when to call it again at the latest, and whether the pool has ended.
func (p *Pool) reconcile(now time.Time) (next time.Time, ended bool) {
	p.mu.Lock()
	want, ends := p.wanted(), p.phase == phaseEnds
	if ends {
		p.expireAll()
	}
	p.mu.Unlock()
	for _, w := range slices.Clone(p.workers) {
		if !w.deadline.IsZero() && !now.Before(w.deadline) {
			p.overdue(w, now)
		}
	}
	if ends {
		return p.nextDeadline(now), len(p.workers) == 0
	}
	if want == 0 {
		p.retireIdle()
		p.mu.Lock()
		back := p.queue.length > 0 // requests have come back meanwhile
		p.mu.Unlock()
		if back {
			return now, false
		}
		return p.nextDeadline(now), len(p.workers) == 0
	}
	fresh, tired := p.count()
	for fresh < want && p.mayStart(now) {
		if p.startOne(now) {
			fresh++
		}
	}
	if fresh >= want {
		p.o.Imports.forget(p)
	}
	p.retireSpare(want, tired)
	p.hasten(now)
	p.tellStarted(want)
	next = p.nextDeadline(now)
	if fresh < want && p.next.After(now) && p.next.Before(next) {
		next = p.next
	}
	return p.watchImports(now, next), false
}

// wanted returns how many workers there should be: 1 while the pool is broken, which is enough
// to see whether a start succeeds, and 0 if the pool was succeeded and no request waits. The
// caller holds the lock.
func (p *Pool) wanted() int {
	switch {
	case p.replaced && p.queue.length == 0:
		return 0
	case p.broken():
		return 1
	}
	return p.want
}

// mayStart reports whether the next worker may be started now.
func (p *Pool) mayStart(now time.Time) bool {
	return !now.Before(p.next) && p.o.Imports.take(p)
}

// startOne starts a worker. It returns false if that fails.
func (p *Pool) startOne(now time.Time) bool {
	number := 1
	for slices.ContainsFunc(p.workers, func(w *worker) bool { return w.number == number }) {
		number++
	}
	w, err := p.newWorker(number)
	if err != nil {
		p.o.Imports.give()
		p.bootFailed(&BootError{App: p.o.Name, Worker: fmt.Sprintf("%s:%d", p.o.Name, number), Message: err.Error()})
		return false
	}
	w.deadline = now.Add(p.o.StartupTimeout)
	w.importing, w.looked = true, now
	p.mu.Lock()
	p.workers = append(p.workers, w)
	p.mu.Unlock()
	return true
}

// count returns how many workers are starting or ready and stay, and the tired ones.
func (p *Pool) count() (fresh int, tired []*worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		switch {
		case w.state > workerReady:
		case w.tired:
			tired = append(tired, w)
		default:
			fresh++
		}
	}
	return fresh, tired
}

// retireSpare retires tired workers, and workers beyond want, once enough others are ready.
func (p *Pool) retireSpare(want int, tired []*worker) {
	p.mu.Lock()
	ready := len(p.ready)
	var newest *worker
	for _, w := range p.ready {
		if !w.tired && (newest == nil || w.number > newest.number) {
			newest = w
		}
	}
	p.mu.Unlock()
	for _, w := range tired {
		if ready <= want {
			return
		}
		ready--
		p.retire(w, workerLeaving, "it has had max_requests")
	}
	if ready > want && newest != nil {
		p.retire(newest, workerLeaving, "the pool is made smaller")
		p.post(event{kind: eventScaled})
	}
}

// retireIdle retires idle workers of a pool that was succeeded. ASGI workers retire as soon as
// they have started all their requests, as these may go on for hours.
func (p *Pool) retireIdle() {
	for _, w := range slices.Clone(p.workers) {
		p.mu.Lock()
		idle := w.outstanding == 0 || w.streams != nil && !w.keepsWaiting()
		p.mu.Unlock()
		if idle {
			p.retire(w, workerLeaving, "the pool was replaced")
		}
	}
}

// nextDeadline returns the first deadline of a worker, at most an hour from now.
func (p *Pool) nextDeadline(now time.Time) time.Time {
	next := now.Add(time.Hour)
	for _, w := range p.workers {
		if !w.deadline.IsZero() && w.deadline.Before(next) {
			next = w.deadline
		}
	}
	return next
}
