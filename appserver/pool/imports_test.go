package pool

import (
	"os"
	"testing"
	"time"
)

// called reports whether p got the event that its turn has come.
func called(p *Pool) bool {
	select {
	case <-p.events:
		return true
	default:
		return false
	}
}

// Pools take turns.
func TestImportsRunAtTheSameTimeUpToTheirBound(t *testing.T) {
	imports := NewImports(2)
	a, b, c := newTestPool(Settings{}), newTestPool(Settings{}), newTestPool(Settings{})
	if !imports.take(a) || !imports.take(b) {
		t.Fatal("got fewer than two imports at the same time, want two")
	}
	for range 3 { // a pool that asks again keeps its place
		if imports.take(a) || imports.take(c) || imports.take(b) {
			t.Fatal("got a third import at the same time, want two")
		}
	}
	if called(a) || called(b) || called(c) {
		t.Error("got an event for a pool before its turn, want none")
	}
	imports.give()
	if !called(a) || called(c) {
		t.Error("got no event for the pool that has waited longest, or one for another, want one for it")
	}
	if imports.take(c) {
		t.Fatal("got the second in line before the first, want it after")
	}
	if !imports.take(a) || imports.take(b) {
		t.Fatal("got not the first in line, or another one with it, want the first alone")
	}
	imports.forget(c)
	imports.give()
	if !called(b) || called(c) || !imports.take(b) {
		t.Error("got others waiting for a pool that needs no worker, want the next one called")
	}
	imports.give()
	imports.give()
	if !imports.take(c) || !imports.take(c) || imports.take(c) {
		t.Error("got another number of imports for a single pool, want as many as the bound")
	}
}

// thisProcess is the process of the test, as that of a worker.
type thisProcess struct{ noProcess }

func (thisProcess) Pid() int { return os.Getpid() }

// An importing worker that uses no CPU time does not count. One that uses some does.
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
			t.Fatal("got the first import refused, want it to run")
		}
		other := newTestPool(Settings{})
		if p.o.Imports.take(other) {
			t.Fatal("got a second import, want it refused")
		}
		if next := p.watchImports(now.Add(lookAfter/2), now.Add(time.Hour)); !next.Equal(now.Add(lookAfter)) {
			t.Errorf("%s: it is looked at again after %s, want %s", c.name, next.Sub(now), lookAfter)
		}
		if called(other) {
			t.Errorf("%s: got a worker that does not count before it was checked, want it to count", c.name)
		}
		p.watchImports(now.Add(lookAfter), now.Add(time.Hour))
		if w.importing != c.counts || called(other) == c.counts {
			t.Errorf("%s: it counts: %v, want %v", c.name, w.importing, c.counts)
		}
	}
}

// The time to the next start doubles with each failed one. Until then requests are refused, with
// a Retry-After.
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
			t.Errorf("failure %d: got a worker that may start before the time, want none", i)
		}
	}
	if !p.mayStart(p.next) {
		t.Error("got no worker that may start at the time, want one")
	}
	if f := p.Submit(newJob()); f == nil || f.Status != 503 || f.RetryAfter < 1 {
		t.Errorf("a request gets %+v, want 503 with the time of the next start", f)
	}
}

// Workers that end right after they became ready are started again later each time, unless they end
// over requests: the others of the application must not wait for long.
func TestARequestThatEndsEachWorkerDelaysStartsByLittle(t *testing.T) {
	for _, c := range []struct {
		name   string
		served uint64
		lost   int
		most   time.Duration
	}{
		{"over nothing", 0, 0, lastBackoff},
		{"after it has answered", 1, 0, busyBackoff},
		{"over a request", 0, 1, busyBackoff},
	} {
		p := newTestPool(Settings{})
		for i := range 20 {
			w := &worker{pool: p}
			w.readied, w.served = time.Now(), c.served
			before := time.Now()
			p.onDeath(w, Exit{Code: 1}, c.lost)
			want := min(firstBackoff<<min(i, 16), c.most)
			if most, least := p.next.Sub(before), time.Until(p.next); most < want || least > want {
				t.Errorf("a worker ends %s, death %d: the next start comes after %s, want %s", c.name, i+1, least, want)
			}
		}
	}
}
