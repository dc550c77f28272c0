package eventloop

import "time"

// hesitation is how long a Loop that finds nothing to do looks again before it waits in the
// system. To be woken costs tens of microseconds, most of all on a virtual machine whose
// processor has been halted meanwhile, and costs whoever wakes the Loop a system call. So a
// Loop whose waits are short looks for as long as that costs, and lets other threads run
// between two looks: on a machine of few processors these are its workers. One whose waits
// are long waits at once, and so does, for many waits, one that had to let others run for
// long: they may be strangers, and a thread that waits is served before one that yields.
type hesitation struct {
	limit time.Duration // for how long it looks; 0: it waits at once
	began time.Duration // by the Loop's clock, when it found nothing first; 0: it has had work since
	off   int           // waits from which it learns nothing

	resumed time.Duration // when idle was reckoned last, at the beginning of work
	idle    time.Duration // of idleUnit, the part without work: a mean of about eight times
}

const (
	leastHesitation = 16 * time.Microsecond
	mostHesitation  = 64 * time.Microsecond
	shortWait       = 250 * time.Microsecond // a wait up to this was not worth it
	longYield       = time.Millisecond
	waitsOff        = 256

	idleUnit = 1024
	fewIdle  = idleUnit / 3           // less is a busy Loop's
	longWork = 250 * time.Microsecond // without a look for nothing counts as a time of its own
)

// lasts reports whether the Loop looks once more at this time.
func (h *hesitation) lasts(now time.Duration) bool {
	if h.began == 0 {
		h.began = now
	}
	return now-h.began < h.limit
}

// worked notes that the Loop has something to do at this time.
func (h *hesitation) worked(now time.Duration) {
	cycle, idle := max(now-h.resumed, 1), time.Duration(0)
	if h.began != 0 {
		idle = now - h.began
	} else if cycle < longWork {
		return
	}
	h.idle += (idle*idleUnit/cycle - h.idle) / 8
	h.began, h.resumed = 0, now
}

// busy reports whether the Loop has had work for most of the time of late.
func (h *hesitation) busy() bool { return h.idle < fewIdle }

// yielded learns from the time for which others have run.
func (h *hesitation) yielded(d time.Duration) {
	if d > longYield {
		h.limit, h.off = 0, waitsOff
	}
}

// waited learns from a wait of that length.
func (h *hesitation) waited(d time.Duration) {
	switch {
	case h.off > 0:
		h.off--
	case d <= shortWait:
		h.limit = min(max(h.limit*2, leastHesitation), mostHesitation)
	case h.limit > leastHesitation:
		h.limit /= 2
	default:
		h.limit = 0
	}
}
