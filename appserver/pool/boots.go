package pool

import (
	"fmt"
	"math"
	"time"

	"alicorn/proxy"
)

// Bounds of the time from a failed start to the next one. It doubles with each failure in a row.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// busyBackoff is the longest time for workers that end over requests. Starting one soon costs
	// processor time, starting it late costs all other requests of the application: a client that
	// repeats a request that ends its worker must not stop the application for longer.
	busyBackoff = 250 * time.Millisecond
	// mostInterrupted is how many starts in a row must be interrupted before this counts as a
	// failed start: the import may be what ends the process.
	mostInterrupted = 3
)

// boots has the outcomes of starting workers. The pool's lock guards it.
type boots struct {
	first    firstStart
	why      *BootError // why the first start has failed
	failed   *BootError // why the last start of a worker has failed; nil: it has not
	dying    string     // why workers end right after they became ready; "": they do not
	cameUp   bool       // a worker was ready
	silent   bool       // failed starts are not logged, as Await returns the first one
	lastBoot string     // the failure that was logged last
	next     time.Time  // when the next worker may be started
}

// firstStart is the outcome of the first start of all workers.
type firstStart uint8

const (
	undecided firstStart = iota
	succeeded            // all workers have become ready
	wentWrong            // one has not
)

// settleFirst settles the outcome of the first start. It returns false if that was settled
// before.
func (b *boots) settleFirst(e *BootError) bool {
	if b.first != undecided {
		return false
	}
	b.first, b.why = succeeded, e
	if e != nil {
		b.first = wentWrong
	}
	b.silent = b.silent && e != nil
	return true
}

// readied notes that a worker has become ready.
func (b *boots) readied() { b.lastBoot, b.failed, b.cameUp = "", nil, true }

// fails notes why a worker has not become ready.
func (b *boots) fails(e *BootError) { b.failed = e }

// dies notes why workers end right after they became ready; "" if they do not. It reports
// whether they have begun to.
func (b *boots) dies(why string) bool {
	was := b.dying
	b.dying = why
	return why != "" && was == ""
}

// delay sets when the next worker may be started.
func (b *boots) delay(at time.Time) { b.next = at }

// speak makes failures be logged, and reports whether they were not before.
func (b *boots) speak() bool {
	was := b.silent
	b.silent = false
	return was
}

// isNews notes that a failure is logged, and reports whether it is another one than the last.
func (b *boots) isNews(text string) bool {
	before := b.lastBoot
	b.lastBoot = text
	return text != before
}

// tellStarted settles the first start once want workers are ready.
func (p *Pool) tellStarted(want int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) >= want && p.failed == nil {
		p.decide(nil)
	}
}

// decide settles the outcome of the first start, once. The caller holds the lock.
func (p *Pool) decide(e *BootError) {
	if p.settleFirst(e) {
		close(p.came)
	}
}

// bootFailed notes why a start has failed, delays the next one, and logs the failure unless
// failures are silent.
func (p *Pool) bootFailed(e *BootError) {
	p.backOff(lastBackoff)
	p.mu.Lock()
	silent := p.silent
	p.fails(e)
	p.decide(e)
	p.refuse()
	p.mu.Unlock()
	if silent {
		return
	}
	p.logFailure(e)
}

// interrupted handles a start that a signal has ended or stopped; how says what has happened. An
// operator may have sent it, or a system that is short of memory. So the next start comes at once,
// and requests still wait for it. Workers that have started side by side and end together count
// once.
func (p *Pool) interrupted(w *worker, how string) {
	if w.born.After(p.lastCut) {
		p.cuts++
		p.lastCut = time.Now()
	}
	if p.cuts < mostInterrupted {
		w.log(proxy.LevelError, "%s before the application was ready; another start follows", how)
		return
	}
	p.bootFailed(&BootError{App: p.o.Name, Worker: w.name, Traceback: w.early.end(),
		Message: fmt.Sprintf("worker %s %s before the application was ready, as had others before it", w.name, how)})
}

// logFailure logs a failed start. A failure that is the same as the last takes one line.
func (p *Pool) logFailure(e *BootError) {
	p.mu.Lock()
	isNews := p.isNews(e.Message + e.Traceback)
	p.mu.Unlock()
	if !isNews {
		p.logf(proxy.LevelError, "%s did not come up again: %s", e.Worker, e.Message)
		return
	}
	p.logf(proxy.LevelError, "%s: %s", e.Worker, e.Error())
}

// backOff delays the next start, longer each time, but at most by most.
func (p *Pool) backOff(most time.Duration) {
	d := min(firstBackoff<<min(p.failures, 16), most)
	if d < most {
		p.failures++
	}
	p.mu.Lock()
	p.delay(time.Now().Add(d))
	p.mu.Unlock()
}

// refuse answers the waiting requests of a broken pool, as the next start may be far away and
// may also fail. The caller holds the lock.
func (p *Pool) refuse() {
	for p.broken() && p.queue.first != nil {
		r := p.queue.first
		p.queue.remove(r)
		r.fail(p.unavailable())
		r.Drop()
	}
}

// unavailable returns the answer to requests of a broken pool. The caller holds the lock.
func (p *Pool) unavailable() *proxy.Fail {
	return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: max(1, int(math.Ceil(time.Until(p.next).Seconds()))),
		Reason: fmt.Sprintf("app %q is not running: %s", p.o.Name, p.failed.Message)}
}
