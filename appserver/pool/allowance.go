package pool

import (
	"bytes"
	"sync"
	"time"

	"alicorn/proxy"
)

// Allowance bounds what the workers of an app may print to the error log, so that they cannot
// fill the disk. Each line costs 1 of a budget, and 1 more for each KiB. Once the budget is
// spent, lines are left out until it has the lines of a second again, so that the lines that are
// kept stand together. Then one line says how many were left out. The zero Allowance has a whole
// burst. Any goroutine may use it.
type Allowance struct {
	mu     sync.Mutex
	budget float64   // how many lines may be printed, at the time at
	at     time.Time // zero: it was not used yet
	over   bool      // lines are left out
	left   uint64    // how many lines were left out since over is set
}

// Rate is how many lines may be printed per second, and how many at once. The zero Rate is no
// bound.
type Rate struct{ Lines, Burst int }

// second returns how many lines the budget must have before lines are printed again.
func (r Rate) second() int { return min(r.Lines, r.Burst) }

// take returns the first of lines, those that may be printed, and how many were left out before
// them. If lines are left out from now on, wait is for how long; otherwise 0.
func (a *Allowance) take(lines []byte, r Rate, now time.Time) (kept []byte, left uint64, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left = a.refill(r, now)
	if !a.over {
		kept = a.spend(lines, r)
		lines = lines[len(kept):]
	}
	if len(lines) > 0 {
		if !a.over {
			a.over, wait = true, a.pause(r)
		}
		a.left += uint64(bytes.Count(lines, []byte{'\n'}))
	}
	return kept, left, wait
}

// again returns how many lines were left out, if lines may be printed again; otherwise 0.
func (a *Allowance) again(r Rate, now time.Time) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refill(r, now)
}

// refill adds the lines of the time since the last call to the budget. If lines may be printed
// again, it returns how many were left out.
func (a *Allowance) refill(r Rate, now time.Time) (left uint64) {
	if a.at.IsZero() {
		a.budget = float64(r.Burst)
	} else if since := now.Sub(a.at); since > 0 {
		a.budget += since.Seconds() * float64(r.Lines)
	}
	a.at, a.budget = now, min(a.budget, float64(r.Burst))
	if a.over && a.budget >= float64(r.second()) {
		left, a.over, a.left = a.left, false, 0
	}
	return left
}

// pause returns how long it takes until the budget has the lines of a second.
func (a *Allowance) pause(r Rate) time.Duration {
	missing := float64(r.second()) - a.budget
	return time.Duration(missing/float64(r.Lines)*float64(time.Second)) + time.Millisecond
}

// spend returns the first of lines, as many as the budget has, and takes them from it.
func (a *Allowance) spend(lines []byte, r Rate) []byte {
	n := 0
	for line := range bytes.Lines(lines) {
		cost := float64(min(1+len(line)>>10, r.second()))
		if a.budget < cost {
			break
		}
		a.budget -= cost
		n += len(line)
	}
	return lines[:n]
}

// allowed returns the first of lines, those that may be printed to the error log.
func (p *Pool) allowed(a *Allowance, lines []byte) []byte {
	l := p.logs.Load()
	if l == nil || a == nil || l.Rate.Lines == 0 {
		return lines
	}
	kept, left, wait := a.take(lines, l.Rate, time.Now())
	p.noteLeft(left, l.Rate)
	if wait > 0 {
		time.AfterFunc(wait, func() { p.noteLeft(a.again(l.Rate, time.Now()), l.Rate) })
	}
	return kept
}

// noteLeft logs that lines were left out.
func (p *Pool) noteLeft(lines uint64, r Rate) {
	if lines > 0 {
		p.logf(proxy.LevelWarn, "app %q prints more than %s a second: %s left out (output_limit)", p.o.Name, proxy.Count(r.Lines, "line"), proxy.Count(lines, "line"))
	}
}
