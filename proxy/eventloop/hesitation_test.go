package eventloop

import (
	"testing"
	"time"
)

func TestHesitationFollowsTheWaits(t *testing.T) {
	const us = time.Microsecond
	var h hesitation
	for i, step := range []struct{ wait, want time.Duration }{
		{time.Second, 0},
		{100 * us, 16 * us},
		{250 * us, 32 * us},
		{us, 64 * us},
		{us, 64 * us},
		{251 * us, 32 * us},
		{time.Hour, 16 * us},
		{time.Hour, 0},
		{time.Hour, 0},
	} {
		if h.waited(step.wait); h.limit != step.want {
			t.Errorf("step %d: after a wait of %v a limit of %v, want %v", i, step.wait, h.limit, step.want)
		}
	}
}

func TestHesitationEnds(t *testing.T) {
	h := hesitation{limit: 64 * time.Microsecond}
	at := 5 * time.Second
	for i, step := range []struct {
		after time.Duration
		work  bool
		want  bool
	}{
		{after: 0, want: true},
		{after: 63 * time.Microsecond, want: true},
		{after: 64 * time.Microsecond, want: false},
		{after: 65 * time.Microsecond, work: true, want: true},
		{after: 128 * time.Microsecond, want: true},
		{after: 129 * time.Microsecond, want: false},
	} {
		if step.work {
			h.worked(at)
		}
		if got := h.lasts(at + step.after); got != step.want {
			t.Errorf("step %d, %v later: it lasts %v, want %v", i, step.after, got, step.want)
		}
	}
}

func TestALongYieldEndsHesitation(t *testing.T) {
	h := hesitation{limit: 64 * time.Microsecond}
	h.yielded(time.Millisecond)
	if h.limit == 0 {
		t.Error("after a yield of 1ms a limit of 0, want 64µs")
	}
	h.yielded(time.Millisecond + 1)
	for i := range waitsOff {
		if h.waited(time.Microsecond); h.limit != 0 {
			t.Fatalf("after %d short waits a limit of %v, want 0", i+1, h.limit)
		}
	}
	if h.waited(time.Microsecond); h.limit != 16*time.Microsecond {
		t.Errorf("after %d short waits a limit of %v, want 16µs", waitsOff+1, h.limit)
	}
}

func TestALoopIsBusyThatHasWorkForMostOfTheTime(t *testing.T) {
	var h hesitation
	now := time.Second
	cycles := func(n int, work, look time.Duration) {
		for range n {
			now += work
			if look > 0 {
				h.lasts(now)
			}
			now += look
			h.worked(now)
			h.worked(now + time.Microsecond)
		}
	}
	if !h.busy() {
		t.Error("a new one is not busy, want busy")
	}
	for i, step := range []struct {
		work, look time.Duration
		want       bool
	}{
		{10 * time.Microsecond, 20 * time.Microsecond, false},
		{600 * time.Microsecond, 64 * time.Microsecond, true},
		{10 * time.Microsecond, time.Hour, false},
		{30 * time.Microsecond, 10 * time.Microsecond, true},
		{30 * time.Microsecond, 20 * time.Microsecond, false},
		{10 * time.Microsecond, time.Hour, false},
		{time.Millisecond, 0, true},
	} {
		if cycles(50, step.work, step.look); h.busy() != step.want {
			t.Errorf("step %d: with %v of work for each %v without it is busy: %v, want %v", i, step.work, step.look, h.busy(), step.want)
		}
	}
}
