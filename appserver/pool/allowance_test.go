package pool

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

func TestAnAllowanceIsSpentAndFilledAgain(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var a Allowance
	r := Rate{Lines: 10, Burst: 25}
	for i, c := range []struct {
		after       time.Duration
		lines, kept int
		left        uint64
		pauses      bool
	}{
		{0, 20, 20, 0, false},
		{0, 20, 5, 0, true},
		{900 * time.Millisecond, 1, 0, 0, false}, // until there are a second's lines
		{100 * time.Millisecond, 3, 3, 16, false},
		{time.Second, 17, 17, 0, false},
		{time.Second, 20, 10, 0, true},
		{-time.Hour, 5, 0, 0, false},
		{2 * time.Hour, 26, 25, 15, true},
	} {
		now = now.Add(c.after)
		kept, left, wait := a.take([]byte(strings.Repeat("x\n", c.lines)), r, now)
		if got := bytes.Count(kept, []byte("\n")); got != c.kept || left != c.left || (wait > 0) != c.pauses {
			t.Errorf("step %d: kept %d of %d, %d were left out, pause %s; want %+v", i, got, c.lines, left, wait, c)
		}
		if wait > 0 && (wait < time.Second || wait > 1100*time.Millisecond) {
			t.Errorf("step %d: a pause of %s; want 1s to 1.1s", i, wait)
		}
	}
	if left := a.again(r, now.Add(999*time.Millisecond)); left != 0 {
		t.Errorf("%d lines were left out before the pause has ended, want 0", left)
	}
	if left := a.again(r, now.Add(time.Second)); left != 1 {
		t.Errorf("%d lines were left out, want 1", left)
	}
}

// A long line costs more, but at most the whole budget.
func TestLongLinesCostMore(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	long := []byte(strings.Repeat("x", 2<<10) + "\n")
	var a Allowance
	if kept, _, _ := a.take(bytes.Repeat(long, 10), Rate{Lines: 10, Burst: 10}, now); len(kept) != 3*len(long) {
		t.Errorf("kept %d bytes of lines of %d; want %d", len(kept), len(long), 3*len(long))
	}
	var b Allowance
	if kept, _, _ := b.take(bytes.Repeat(long, 10), Rate{Lines: 1, Burst: 2}, now); len(kept) != 2*len(long) {
		t.Errorf("kept %d bytes of lines of %d; want %d", len(kept), len(long), 2*len(long))
	}
}

// Two pools of an app share an allowance. One log line says how many lines were left out, even if
// no other line is printed. Stacks have their own allowance.
func TestLinesThatAreLeftOutAreTold(t *testing.T) {
	var log proxytest.Log
	errors := slog.New(&log)
	logs := Logs{Errors: func() *slog.Logger { return errors }, Rate: Rate{Lines: 1000, Burst: 50}, Printed: new(Allowance)}
	var all [2]*worker
	for i := range all {
		all[i] = &worker{name: fmt.Sprintf("web:%d", i), pool: &Pool{o: Options{Settings: Settings{Name: "web"}}}}
		all[i].pool.SetLogs(logs)
	}
	all[0].printLines([]byte(strings.Repeat("first\n", 50)))
	all[1].logLines([]byte(strings.Repeat("second\n", 5_000)))
	all[1].logStacks([]byte("the stack\n"))
	log.Wait(t, "web:1: the stack")
	log.Wait(t, `lines left out (output_limit)`)
	text := log.String()
	if first, second := strings.Count(text, "first"), strings.Count(text, "second"); first != 50 || second > 2_000 || strings.Count(text, "left out") != 1 {
		t.Errorf(`%d and %d lines: %.3000s; want 50, at most 2000 and "left out" once`, first, second, text)
	}
}
