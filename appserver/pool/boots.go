package pool

import (
	"fmt"
	"math"
	"time"

	"alicorn/proxy"
)

// The time from a failed start to the next one: it doubles with each in a row.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
)

// boots is how the starts of a pool's workers have ended. The pool's lock guards it.
type boots struct {
	first    firstStart
	why      *BootError // why the first start has failed
	failed   *BootError // why the last start of a worker has failed; nil: it has not
	dying    string     // why workers end right after they became ready; "": they do not
	cameUp   bool       // a worker has been ready
	silent   bool       // failed starts are not logged: whoever awaits the first one is told
	lastBoot string     // the failure that was logged last
	next     time.Time  // no worker is started before
}

// firstStart is the outcome of the first start of all workers.
type firstStart uint8

const (
	undecided firstStart = iota
	succeeded            // all workers have become ready
	wentWrong            // one has not
)

// settleFirst settles the outcome of the first start; false: it was settled before.
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

// dies notes why workers end right after they became ready; "": they do not. It reports
// whether that is new.
func (b *boots) dies(why string) bool {
	was := b.dying
	b.dying = why
	return why != "" && was == ""
}

// delay has no worker started before at.
func (b *boots) delay(at time.Time) { b.next = at }

// speak has failures logged from now on, and reports whether they were not before.
func (b *boots) speak() bool {
	was := b.silent
	b.silent = false
	return was
}

// isNews notes that a failure is logged, and reports whether it differs from the last one.
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

// decide settles the outcome of the first start, once. The lock is held.
func (p *Pool) decide(e *BootError) {
	if p.settleFirst(e) {
		close(p.came)
	}
}

// bootFailed notes why the application does not come up, delays the next start, and logs the
// failure unless failures are silent.
func (p *Pool) bootFailed(e *BootError) {
	p.backOff()
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

// logFailure logs a failed start. A reason that is repeated takes one line.
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

// backOff delays the next start, longer each time.
func (p *Pool) backOff() {
	d := min(firstBackoff<<min(p.failures, 16), lastBackoff)
	p.failures++
	p.mu.Lock()
	p.delay(time.Now().Add(d))
	p.mu.Unlock()
}

// refuse answers the waiting requests while no worker serves and the last start has
// failed, since the next start may be far away and fail as well. The lock is held.
func (p *Pool) refuse() {
	for p.broken() && p.queue.first != nil {
		r := p.queue.first
		p.queue.remove(r)
		r.fail(p.unavailable())
		r.Drop()
	}
}

// unavailable is the answer to requests while the pool is broken. The lock is held.
func (p *Pool) unavailable() *proxy.Fail {
	return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: max(1, int(math.Ceil(time.Until(p.next).Seconds()))),
		Reason: fmt.Sprintf("app %q is not running: %s", p.o.Name, p.failed.Message)}
}
