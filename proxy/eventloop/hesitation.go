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
}

const (
	leastHesitation = 16 * time.Microsecond
	mostHesitation  = 64 * time.Microsecond
	shortWait       = 250 * time.Microsecond // a wait up to this was not worth it
	longYield       = time.Millisecond
	waitsOff        = 256
)

// lasts reports whether the Loop looks once more at this time.
func (h *hesitation) lasts(now time.Duration) bool {
	if h.limit == 0 {
		return false
	}
	if h.began == 0 {
		h.began = now
		return true
	}
	return now-h.began < h.limit
}

// worked notes that the Loop had something to do.
func (h *hesitation) worked() { h.began = 0 }

// yielded learns from the time for which others have run.
func (h *hesitation) yielded(d time.Duration) {
	if d > longYield {
		h.limit, h.off = 0, waitsOff
	}
}

// waited learns from a wait of that length.
func (h *hesitation) waited(d time.Duration) {
	h.began = 0
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
