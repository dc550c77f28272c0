package proxy

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	regexp2 "github.com/dlclark/regexp2/v2"
	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
)

// Limits of matches of a backtracking pattern.
const (
	regexpTimeout = 100 * time.Millisecond // the limit of a match that has its turn
	waryTimeout   = 3 * time.Millisecond   // the limit of a match without its turn; while alarmed, of all matches
	waryTime      = 10 * time.Second       // how long the alarm lasts
	// heldUp is the processor time below which a match that ran out of waryTimeout counts
	// as held up: the system did not schedule it. A match that takes long uses more, even
	// beside others like it.
	heldUp = waryTimeout / 4
	// After a match that ran out of time, the next one waits for turnPause times as long
	// as it took, but not longer than longestPause.
	turnPause    = 4
	longestPause = 20 * time.Millisecond
	// maxWaiting is how many requests may wait for their turn of one pattern.
	maxWaiting = 64
)

// turns bounds the processor time that the matches of one pattern take. An ordinary match
// needs microseconds and runs at once, on the request's goroutine. A match that takes
// longer than waryTimeout begins again in its turn: one runs at a time, for regexpTimeout.
// If that is not enough, some client knows how to make matches long. Then for waryTime
// each match waits for its turn, and gets waryTimeout only. A request that waits leads no
// loop, so that other requests go on. With the pauses, all these matches together take
// about a fifth of one processor.
type turns struct {
	turn    chan struct{} // has an element while a match has the turn
	waiting atomic.Int32
	alarm   atomic.Int64 // when a match last ran out of regexpTimeout, as Unix nanoseconds; 0: never
}

func newTurns() turns { return turns{turn: make(chan struct{}, 1)} }

// alarmed reports whether a match has run out of regexpTimeout within waryTime.
func (t *turns) alarmed() bool {
	at := t.alarm.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < waryTime
}

// wait waits for the turn. It returns false if too many wait already.
func (t *turns) wait() bool {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaiting {
		return false
	}
	t.turn <- struct{}{}
	return true
}

// give gives the turn away after pause.
func (t *turns) give(pause time.Duration) {
	if pause == 0 {
		<-t.turn
		return
	}
	time.AfterFunc(pause, func() { <-t.turn })
}

// backtrack calls match with the engine whose limit is due. x is nil if the caller leads no
// loop. The error is a *Fail.
func (r *Regexp) backtrack(x *Exchange, text string, match func(*regexp2.Regexp) error) error {
	t := &r.turns
	if !t.alarmed() {
		if err := match(r.wary); !outOfTime(err) {
			return r.tooMuch(text, false, err)
		}
	}
	if x == nil {
		return r.inTurn(text, match)
	}
	var err error
	x.Offload(func() { err = r.inTurn(text, match) })
	return err
}

// inTurn waits for the turn, calls match, and gives the turn on.
func (r *Regexp) inTurn(text string, match func(*regexp2.Regexp) error) error {
	if !r.turns.wait() {
		return r.refusal(text, fmt.Sprintf("%d requests wait for matches that take long", maxWaiting))
	}
	eventloop.GiveWay()
	alarmed := r.turns.alarmed()
	began, pause := time.Now(), time.Duration(0)
	defer func() { r.turns.give(pause) }()
	alarmed, err := r.try(alarmed, match)
	if outOfTime(err) {
		pause = min(turnPause*time.Since(began), longestPause)
		if !alarmed {
			r.turns.alarm.Store(time.Now().UnixNano())
		}
	}
	return r.tooMuch(text, alarmed, err)
}

// try calls match with the limit that is due. Limits are times of the clock. A match that
// ran out of time with hardly any processor time was held up by a busy machine, and try
// calls it again. short reports whether the last limit was waryTimeout.
func (r *Regexp) try(alarmed bool, match func(*regexp2.Regexp) error) (short bool, err error) {
	if !alarmed {
		if err := match(r.slow); !outOfTime(err) {
			return false, err
		}
	}
	runtime.LockOSThread() // threadTime measures this thread
	defer runtime.UnlockOSThread()
	for range 3 {
		began := threadTime()
		err := match(r.wary)
		if !outOfTime(err) || threadTime()-began > heldUp {
			return alarmed, err
		}
	}
	return false, match(r.slow) // held up each time: the match has hardly worked
}

// threadTime returns the processor time that the thread has used; 0 if the system does not
// tell it.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func outOfTime(err error) bool {
	return err != nil && !errors.Is(err, regexp2.ErrBacktrackingStackLimit)
}

// tooMuch returns the error for a text that could not be matched within the limits: 500,
// logged with the place of the directive; nil if err is nil.
func (r *Regexp) tooMuch(text string, alarmed bool, err error) error {
	switch {
	case err == nil:
		return nil
	case !outOfTime(err):
		return r.refusal(text, "it backtracks too far")
	case alarmed:
		return r.refusal(text, "it takes longer than "+waryTimeout.String()+", the limit for "+waryTime.String()+" after a match that took longer than "+regexpTimeout.String())
	}
	return r.refusal(text, "it takes longer than "+regexpTimeout.String())
}

func (r *Regexp) refusal(text, cause string) error {
	return &Fail{Status: 500, Level: LevelAlert,
		Reason: fmt.Sprintf("cannot match %.200q with the regular expression %q at %s: %s", text, r.Pattern, r.pos, cause)}
}
