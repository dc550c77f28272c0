package keeper

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

const (
	stopNumber = iota + 1
	stopNowNumber
	reopenNumber
)

// A stop counts while the configuration is read for the first time, which may
// take as long as a name server does.
func TestAStopEndsTheFirstReading(t *testing.T) {
	t.Parallel()
	held, hold := make(chan struct{}), make(chan struct{})
	defer close(hold)
	k := New(Options{Host: &Local{}, Stop: stopNumber, StopNow: stopNowNumber, Read: func(*config.Resources) (*Reading, error) {
		close(held)
		<-hold
		return nil, errors.New("too late")
	}})
	numbers, ran := make(chan int), make(chan error, 1)
	go func() {
		code, err := k.Run(context.Background(), numbers)
		if code != 0 && err == nil {
			err = errors.New("the exit code is not 0")
		}
		ran <- err
	}()
	<-held
	numbers <- reopenNumber // means nothing yet
	numbers <- stopNumber
	if err := awaitError(t, "Run", ran); err != nil {
		t.Error(err)
	}
}

// A front that has served is replaced at once, also when that happens again and again.
func TestAFrontThatHasServedIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	var p pauses
	for i, c := range []struct {
		served bool
		want   time.Duration
	}{
		{true, 0}, {true, 0}, {true, 0}, {false, firstPause}, {false, 2 * firstPause}, {false, 4 * firstPause}, {true, 0}, {false, firstPause}, {true, 0}, {true, 0},
	} {
		if got := p.after(c.served); got != c.want {
			t.Errorf("front %d: the pause is %s, want %s", i, got, c.want)
		}
	}
	for range 20 {
		p.after(false)
	}
	if got := p.after(false); got != longestPause {
		t.Errorf("after many failures the pause is %s, want %s", got, longestPause)
	}
}

// exhausted is what a system without descriptors answers until it has been
// asked often enough.
func exhausted(times int32) func() error {
	var asked atomic.Int32
	return func() error {
		if asked.Add(1) <= times {
			return &os.PathError{Op: "open", Path: "/x", Err: unix.EMFILE}
		}
		return nil
	}
}

func TestAReserveIsSpentOnce(t *testing.T) {
	t.Parallel()
	r := NewReserve(3)
	defer r.Close()
	for _, tc := range []struct {
		name  string
		f     func() error
		fails bool
	}{
		{"enough", exhausted(0), false},
		{"short", exhausted(1), false},
		{"used up", exhausted(2), true},
		{"another error", func() error { return errors.ErrUnsupported }, true},
	} {
		if err := r.Spend(tc.f); (err != nil) != tc.fails {
			t.Errorf("%s: %v; want an error: %v", tc.name, err, tc.fails)
		}
		if len(r.spare) != 3 {
			t.Errorf("%s: %d descriptors are held back afterwards, want 3", tc.name, len(r.spare))
		}
	}
}
