package logfile

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/config"
)

// quiet is the least time between the reports of two spells of one destination.
const quiet = time.Minute

// Losses are the lines that a destination did not take.
type Losses struct {
	Path    string
	Lost    uint64    // the number of lines since the destination was first opened
	Failing bool      // the last line was lost
	Err     error     // of the last line that was lost
	At      time.Time // when it was lost
}

// losses counts the lines that a destination loses. A spell is a time in which all lines are
// lost. losses reports its beginning and its end on the standard error stream.
type losses struct {
	spell atomic.Bool // equals sum.Failing; worked needs no lock if it is false
	mu    sync.Mutex
	sum   Losses
	until uint64    // the number of lines lost before this spell
	said  time.Time // when the beginning of a spell was last reported
	open  bool      // the beginning of this spell was reported
}

// Losses returns the sum so far.
func (l *losses) Losses() Losses {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}

// failed records that the lines in p did not reach the destination.
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

// worked records that a line was written.
func (l *losses) worked() {
	if !l.spell.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		Say(fmt.Sprintf("alicorn: log %s can be written to again; lines lost: %d", l.sum.Path, l.sum.Lost-l.until))
	}
	l.sum.Failing, l.open = false, false
	l.spell.Store(false)
}
