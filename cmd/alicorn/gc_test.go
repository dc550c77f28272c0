package main

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
)

func TestTheEnvironmentWinsOverTheGCDirective(t *testing.T) {
	percent, memory := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetGCPercent(percent)
	defer debug.SetMemoryLimit(memory)
	said := gcSettings{Percent: 150, Memory: 1 << 30}
	for _, c := range []struct {
		name, gogc, limit string
		settings          gcSettings
		want              control.GC
	}{
		{"nothing is said", "", "", gcSettings{}, control.GC{Percent: defaultGC}},
		{"the directive alone", "", "", said, control.GC{Percent: 150, Memory: 1 << 30}},
		{"GOGC", "120", "", said, control.GC{Percent: 120, Memory: 1 << 30}},
		{"GOMEMLIMIT", "", "1GiB", gcSettings{Percent: -1, Memory: 1 << 20}, control.GC{Percent: -1}},
		{"both", "120", "1GiB", said, control.GC{Percent: 120}},
	} {
		t.Run(c.name, func(t *testing.T) {
			debug.SetGCPercent(120) // what the variables would have said at the start
			debug.SetMemoryLimit(math.MaxInt64)
			t.Setenv("GOGC", c.gogc)
			t.Setenv("GOMEMLIMIT", c.limit)
			c.settings.apply()
			if got := gcInEffect(); got != c.want {
				t.Errorf("in effect is %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAnIdleProcessCollectsUnlessThatIsOff(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	run := func(until func() bool) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			giveBack(ctx, time.Millisecond)
			close(ended)
		}()
		for deadline := time.Now().Add(60 * time.Second); !until() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-ended
	}
	before := collections()
	run(func() bool { return collections() >= before+3 })
	if collections() < before+3 {
		t.Errorf("%d collections in ten seconds, want at least 3", collections()-before)
	}
	debug.SetGCPercent(-1)
	before = collections()
	looks := 0
	run(func() bool { looks++; return looks > 50 })
	if n := collections() - before; n > 0 {
		t.Errorf("%d collections though they are off, want 0", n)
	}
}

func TestSmallHeapsHaveRoom(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {1 << 20, 400}, {4 << 20, 400}, {8 << 20, 200}, {16 << 20, 100}, {1 << 40, 100}} {
		if got := roomyPercent(c.live); got != c.want {
			t.Errorf("with %d bytes in use percent is %d, want %d", c.live, got, c.want)
		}
	}
}

func TestOnlyAnUnsaidPercentIsPaced(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for _, c := range []struct {
		name, gogc string
		settings   gcSettings
		paced      bool
	}{
		{"nothing is said", "", gcSettings{}, true},
		{"memory alone", "", gcSettings{Memory: 1 << 40}, true},
		{"percent", "", gcSettings{Percent: 2000}, false},
		{"GOGC", "2000", gcSettings{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOGC", c.gogc)
			debug.SetGCPercent(2000)
			c.settings.pace()
			if got := gcInEffect().Percent; (got != 2000) != c.paced {
				t.Errorf("percent is %d, want another than 2000: %v", got, c.paced)
			}
		})
	}
}

func TestEachCollectionIsLookedAtUntilTheEnd(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	var seen, others int
	looked := make(chan *int) // without a buffer: no call is ahead of the test
	tell := func(count *int) func() {
		return func() {
			select {
			case looked <- count:
			case <-t.Context().Done():
			}
		}
	}
	collectUntil := func(done func() bool) {
		for deadline := time.Now().Add(60 * time.Second); !done(); {
			if time.Now().After(deadline) {
				t.Fatal("collections are not seen")
			}
			runtime.GC() // which may have begun before the last call asked for the next
			select {
			case count := <-looked:
				*count++
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	look(ended, tell(&seen))
	collectUntil(func() bool { return seen == 3 })
	end()
	look(t.Context(), tell(&others))
	collectUntil(func() bool { return others == 4 })
	if seen > 4 { // one call may have begun before the end
		t.Errorf("%d collections are seen after the end", seen-3)
	}
}
