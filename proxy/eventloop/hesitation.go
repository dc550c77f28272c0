package eventloop

import "time"

// hesitation decides for how long a Loop without work looks for more before it waits in the
// system. Waking a Loop that waits takes tens of microseconds, on a virtual machine most of
// all, and costs the goroutine or process that wakes it a system call. So a Loop whose waits
// have been short looks for work for about that time. It does so only while a Source expects
// work: looking for clients' requests gains nothing, and costs a twentieth of the rate if the
// clients are on the same machine. Between two looks it lets other threads run, which may be
// the workers if there are few processors. A Loop whose waits have been long waits at once. If
// other threads have run for long, the Loop waits at once for waitsOff waits: they may belong
// to other programs, and the system lets a thread that has waited run sooner than one that
// yields.
type hesitation struct {
	limit time.Duration // how long the Loop looks for work; 0: it waits at once
	began time.Duration // when it first found none, by the Loop's clock; 0: it has work
	off   int           // the number of waits until limit may grow again

	resumed time.Duration // when idle was computed last, by the Loop's clock
	idle    time.Duration // the part of time without work, of idleUnit: a moving average over about eight values
}

const (
	leastHesitation = 16 * time.Microsecond
	mostHesitation  = 64 * time.Microsecond
	shortWait       = 250 * time.Microsecond // after a wait up to this, limit grows
	longYield       = time.Millisecond       // after a yield longer than this, limit is 0
	waitsOff        = 256

	idleUnit = 1024
	fewIdle  = idleUnit / 3           // a Loop with less idle time is busy
	longWork = 250 * time.Microsecond // work without a look that took at least this counts for idle
)

// lasts reports whether the Loop looks for work once more, at the time now.
func (h *hesitation) lasts(now time.Duration) bool {
	if h.began == 0 {
		h.began = now
	}
	return now-h.began < h.limit
}

// worked says that the Loop has work at the time now.
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

// busy reports whether the Loop has recently had work for most of the time.
func (h *hesitation) busy() bool { return h.idle < fewIdle }

// yielded takes the time for which other threads have run.
func (h *hesitation) yielded(d time.Duration) {
	if d > longYield {
		h.limit, h.off = 0, waitsOff
	}
}

// waited takes the length of a wait.
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
