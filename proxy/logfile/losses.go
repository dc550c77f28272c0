package logfile

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/config"
)

// quiet is the shortest time between two reports on the same destination.
const quiet = time.Minute

// Losses are the lines that a destination did not take.
type Losses struct {
	Path    string
	Lost    uint64    // lines, since the destination was opened first
	Failing bool      // the last line was lost
	Err     error     // of the last line that was lost
	At      time.Time // when it was lost
}

// losses counts the lines that a destination loses. It reports on the standard
// error stream when a spell of failures begins, and when it ends.
type losses struct {
	spell atomic.Bool // equals sum.Failing; a line that was written needs to look at nothing else
	mu    sync.Mutex
	sum   Losses
	until uint64    // lines lost before this spell
	said  time.Time // when the last spell was announced
	open  bool      // this spell was announced
}

// Losses returns the sum so far.
func (l *losses) Losses() Losses {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}

// failed notes that the lines in p did not reach the destination.
func (l *losses) failed(p []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = config.Cause(err)
	if !l.sum.Failing {
		l.until = l.sum.Lost
	}
	l.spell.Store(true)
	l.sum.Lost += uint64(bytes.Count(p, []byte("\n")))
	l.sum.Failing, l.sum.Err, l.sum.At = true, err, time.Now()
	if !l.open && l.sum.At.Sub(l.said) > quiet {
		l.open, l.said = true, l.sum.At
		Say(fmt.Sprintf("alicorn: cannot write to log %s: %s; lines are lost until it can be written to again", l.sum.Path, err))
	}
}

// worked notes that a line was written.
func (l *losses) worked() {
	if !l.spell.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		Say(fmt.Sprintf("alicorn: log %s can be written to again; %d lines were lost", l.sum.Path, l.sum.Lost-l.until))
	}
	l.sum.Failing, l.open = false, false
	l.spell.Store(false)
}
