package proxy

import (
	"strings"
	"testing"
	"time"

	"alicorn/config"
)

// A match that ran out of time with hardly any processor time, because the machine was busy,
// is tried again. It is neither a failure nor an alarm.
func TestAMatchThatWasHeldUpIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name       string
		slow, wary time.Duration // 0: the limit as it is
		alarmed    bool
	}{
		{"first", 1, 0, false},
		{"after an alarm", 0, 1, true},
	} {
		r, err := CompileRegexp(config.Pos{}, "^/(?!static/)(a+)+/$", false)
		if err != nil {
			t.Fatal(err)
		}
		if c.slow > 0 {
			r.slow.MatchTimeout = c.slow
		}
		if c.wary > 0 {
			r.wary.MatchTimeout = c.wary
		}
		before := int64(0)
		if c.alarmed {
			before = time.Now().UnixNano()
			r.turns.alarm.Store(before)
		}
		for text, want := range map[string]bool{"/aaa/": true, "/b": false, "/" + strings.Repeat("a", 6) + "b": false} {
			if got, err := r.MatchString(nil, text); got != want || err != nil {
				t.Errorf("%s: %s: %v, %v; want %v", c.name, text, got, err, want)
			}
		}
		if r.turns.alarm.Load() != before {
			t.Errorf("%s: it raised an alarm", c.name)
		}
	}
}
