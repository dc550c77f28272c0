package proxy

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	regexp2 "github.com/dlclark/regexp2/v2"

	"alicorn/config"
)

var errTime = errors.New("out of time")

// matching is one call of backtrack whose matches the test ends.
type matching struct {
	engines chan *regexp2.Regexp // of each match that begins
	outcome chan error           // ends it
	ended   chan error           // backtrack has returned
}

func begin(r *Regexp) *matching {
	m := &matching{engines: make(chan *regexp2.Regexp, 4), outcome: make(chan error), ended: make(chan error, 1)}
	go func() {
		m.ended <- r.backtrack(nil, "text", func(engine *regexp2.Regexp) error {
			m.engines <- engine
			err := <-m.outcome
			for began := threadTime(); err != nil && threadTime()-began < waryTimeout; {
			}
			return err
		})
	}()
	return m
}

func backtracking(t *testing.T) *Regexp {
	t.Helper()
	r, err := CompileRegexp(config.Pos{}, "a(?!b)", false)
	if err != nil || !r.Backtracking() {
		t.Fatalf("%v, %v; want Backtracking true", r, err)
	}
	return r
}

func TestOneMatchOfAPatternMayTakeLong(t *testing.T) {
	r := backtracking(t)
	first := begin(r)
	if <-first.engines != r.wary {
		t.Error("a match has the long limit before its turn")
	}
	first.outcome <- errTime
	if <-first.engines != r.slow {
		t.Error("the first match does not get the long limit in its turn")
	}
	second := begin(r)
	if <-second.engines != r.wary {
		t.Error("a match beside it has the long limit")
	}
	second.outcome <- errTime
	for r.Waiting() == 0 {
		select {
		case <-second.engines:
			t.Fatal("two matches of a pattern take long at a time")
		default:
			runtime.Gosched()
		}
	}
	quick := begin(r)
	if <-quick.engines != r.wary {
		t.Error("a third match has the long limit")
	}
	quick.outcome <- nil
	if err := <-quick.ended; err != nil {
		t.Errorf("what needs no turn fails: %v", err)
	}
	first.outcome <- nil
	if <-second.engines != r.slow {
		t.Error("the second one does not get the long limit in its turn")
	}
	second.outcome <- nil
	if err := errors.Join(<-first.ended, <-second.ended); err != nil {
		t.Error(err)
	}
}

func TestAfterAMatchThatTookTooLongEachWaitsForItsTurn(t *testing.T) {
	r := backtracking(t)
	first := begin(r)
	for range 2 { // at once, and in its turn
		<-first.engines
		first.outcome <- errTime
	}
	<-first.engines // it is looked whether that was work
	first.outcome <- errTime
	if err := <-first.ended; err == nil || !strings.Contains(err.Error(), "longer than 100ms") {
		t.Errorf(`the first: %v; want an error with "longer than 100ms"`, err)
	}
	var all []*matching
	for range maxWaiting + 1 {
		m := begin(r)
		all = append(all, m)
		if len(all) == 1 {
			if <-m.engines != r.wary { // the pause is over
				t.Error("the next match has the long limit")
			}
		}
	}
	for r.Waiting() < maxWaiting {
		runtime.Gosched()
	}
	if err := <-begin(r).ended; err == nil || !strings.Contains(err.Error(), "64 requests wait") {
		t.Errorf(`one more than may wait: %v; want an error with "64 requests wait"`, err)
	}
	for i, m := range all {
		if i > 0 {
			select {
			case <-m.engines:
				t.Fatal("it does not wait for its turn")
			default:
			}
		}
	}
	for _, m := range all {
		go func() {
			m.outcome <- nil
		}()
	}
	for _, m := range all {
		if err := <-m.ended; err != nil {
			t.Error(err)
		}
	}
}
