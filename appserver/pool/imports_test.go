package pool

import (
	"os"
	"testing"
	"time"
)

// called reports whether p was told that it is its turn.
func called(p *Pool) bool {
	select {
	case <-p.events:
		return true
	default:
		return false
	}
}

// As many workers import at the same time as there may, and pools take turns.
func TestImportsRunSideBySideWithinTheirBound(t *testing.T) {
	imports := NewImports(2)
	a, b, c := newTestPool(Settings{}), newTestPool(Settings{}), newTestPool(Settings{})
	if !imports.take(a) || !imports.take(b) {
		t.Fatal("two imports do not run side by side")
	}
	for range 3 { // who asks again stays in its place
		if imports.take(a) || imports.take(c) || imports.take(b) {
			t.Fatal("a third import runs")
		}
	}
	if called(a) || called(b) || called(c) {
		t.Error("a pool is told that it is its turn, and it is not")
	}
	imports.give()
	if !called(a) || called(c) {
		t.Error("who has waited longest is not called, or another one is")
	}
	if imports.take(c) {
		t.Fatal("the second in line comes before the first")
	}
	if !imports.take(a) || imports.take(b) {
		t.Fatal("the first in line does not come, or another one does, too")
	}
	imports.forget(c)
	imports.give()
	if !called(b) || called(c) || !imports.take(b) {
		t.Error("who needs no worker any more keeps others waiting")
	}
	imports.give()
	imports.give()
	if !imports.take(c) || !imports.take(c) || imports.take(c) {
		t.Error("one pool alone does not get all places, or gets more")
	}
}

// thisProcess is a worker's process that is the test's own.
type thisProcess struct{ noProcess }

func (thisProcess) Pid() int { return os.Getpid() }

// An importing worker that uses no processor time waits for something: it keeps no other
// from being imported. One that works does.
func TestAnImportThatWaitsDoesNotCount(t *testing.T) {
	for _, c := range []struct {
		name    string
		process Process
		used    int64 // when it was looked at last
		counts  bool
	}{
		{"waits", noProcess{}, 0, false},
		{"works", thisProcess{}, -100, true},
	} {
		p := newTestPool(Settings{})
		now := time.Now()
		w := &worker{pool: p, process: c.process}
		w.importing, w.looked, w.used = true, now, c.used
		p.workers = []*worker{w}
		if !p.o.Imports.take(p) {
			t.Fatal("the first import does not run")
		}
		other := newTestPool(Settings{})
		if p.o.Imports.take(other) {
			t.Fatal("a second import runs")
		}
		if next := p.watchImports(now.Add(lookAfter/2), now.Add(time.Hour)); !next.Equal(now.Add(lookAfter)) {
			t.Errorf("%s: it is looked at again after %s, want %s", c.name, next.Sub(now), lookAfter)
		}
		if called(other) {
			t.Errorf("%s: it does not count before it was looked at", c.name)
		}
		p.watchImports(now.Add(lookAfter), now.Add(time.Hour))
		if w.importing != c.counts || called(other) == c.counts {
			t.Errorf("%s: it counts: %v, want %v", c.name, w.importing, c.counts)
		}
	}
}

// The next start after a failed one comes later each time. Until then requests are refused,
// and told when it is.
func TestFailedStartsAreTriedAgainWithBackoff(t *testing.T) {
	p := newTestPool(Settings{})
	for i := range 20 {
		before := time.Now()
		p.bootFailed(&BootError{App: "web", Worker: "web:1", Message: "no"})
		delay := p.next.Sub(before)
		if want := min(firstBackoff<<min(i, 16), lastBackoff); delay < want || delay > want+time.Minute {
			t.Errorf("failure %d: the next start comes after %s, want %s", i, delay, want)
		}
		if p.mayStart(p.next.Add(-time.Millisecond)) {
			t.Errorf("failure %d: a worker may start before its time", i)
		}
	}
	if !p.mayStart(p.next) {
		t.Error("no worker may start when its time has come")
	}
	if f := p.Submit(newJob()); f == nil || f.Status != 503 || f.RetryAfter < 1 {
		t.Errorf("a request gets %+v, want 503 with the time of the next start", f)
	}
}
