package main

import (
	"context"
	"math"
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
		for deadline := time.Now().Add(10 * time.Second); !until() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-ended
	}
	before := collections()
	run(func() bool { return collections() >= before+3 })
	if collections() < before+3 {
		t.Error("nothing was collected in ten seconds")
	}
	debug.SetGCPercent(-1)
	before = collections()
	looks := 0
	run(func() bool { looks++; return looks > 50 })
	if n := collections() - before; n > 0 {
		t.Errorf("%d collections though they are off", n)
	}
}
