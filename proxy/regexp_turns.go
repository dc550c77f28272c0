package proxy

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	regexp2 "github.com/dlclark/regexp2/v2"
	"golang.org/x/sys/unix"
)

// Limits of matches of a backtracking pattern.
const (
	regexpTimeout = 100 * time.Millisecond
	waryTimeout   = 3 * time.Millisecond // at once; for waryTime after a match that ran out of time, also in turn
	waryTime      = 10 * time.Second
	// heldUp is how little a match has worked that was merely not scheduled when its
	// time was over. One that takes long works for more, also beside others like it.
	heldUp = waryTimeout / 4
	// After a match that ran out of time the next one waits for turnPause times
	// as long as it took, and no longer than longestPause.
	turnPause    = 4
	longestPause = 20 * time.Millisecond
	// maxWaiting is how many requests may wait for a pattern.
	maxWaiting = 64
)

// turns bounds what the matches of one pattern take of the machine. Ordinary
// ones need microseconds and run at once, where the request is. What takes longer
// than waryTimeout begins again in its turn, one at a time. Once one has run out
// of the whole limit, some client knows how, and for waryTime each match waits for its
// turn and gets no more than waryTimeout. Who waits leads no loop, so that other
// requests go on; with the pauses all of it takes a fifth of one processor.
type turns struct {
	turn    chan struct{} // what it holds has the turn
	waiting atomic.Int32
	alarm   atomic.Int64 // when a match last ran out of the whole limit, as Unix nanoseconds; 0: never
}

func newTurns() turns { return turns{turn: make(chan struct{}, 1)} }

// alarmed reports that a match ran out of time not long ago.
func (t *turns) alarmed() bool {
	at := t.alarm.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < waryTime
}

// wait waits for the turn; false: too many do.
func (t *turns) wait() bool {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaiting {
		return false
	}
	t.turn <- struct{}{}
	return true
}

// give gives the turn to the next after pause.
func (t *turns) give(pause time.Duration) {
	if pause == 0 {
		<-t.turn
		return
	}
	time.AfterFunc(pause, func() { <-t.turn })
}

// backtrack calls match with the pattern and the limit that is due. Its error is
// a Fail.
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

// try calls match with the limit that is due, and again where that has passed
// without work: limits are of the clock, by which a machine that is held up takes
// long for anything. short says that the last one was the short limit.
func (r *Regexp) try(alarmed bool, match func(*regexp2.Regexp) error) (short bool, err error) {
	if !alarmed {
		if err := match(r.slow); !outOfTime(err) {
			return false, err
		}
	}
	runtime.LockOSThread() // whose time is told
	defer runtime.UnlockOSThread()
	for range 3 {
		began := threadTime()
		err := match(r.wary)
		if !outOfTime(err) || threadTime()-began > heldUp {
			return alarmed, err
		}
	}
	return false, match(r.slow) // it has done nothing yet
}

// threadTime returns the time that the thread has worked.
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

// tooMuch is the answer to a request whose text could not be matched within the
// limits: 500, logged with the place of the directive. It is nil where err is.
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
