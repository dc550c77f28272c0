package pool

import "time"

// boots is how the starts of a pool's workers have ended. The pool's lock guards it.
type boots struct {
	first    firstStart
	why      *BootError // why the first start has failed
	failed   *BootError // why the last start of a worker failed; nil: it has not
	dying    string     // why workers end right after they became ready, while they do
	cameUp   bool       // a worker has been ready
	silent   bool       // failed starts are not logged
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

// speak has failures logged from now on, and reports whether they were not.
func (b *boots) speak() bool {
	was := b.silent
	b.silent = false
	return was
}

// isNews notes that a failure is logged, and reports whether it is another than the last.
func (b *boots) isNews(text string) bool {
	before := b.lastBoot
	b.lastBoot = text
	return text != before
}
