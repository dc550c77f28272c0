package proxytest

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
)

// pausing is the environment variable of a test run in which everything waits: each
// phase of every location begins with a suspension, which another goroutine ends.
const pausing = "ALICORN_TEST_PAUSES"

// Pausing reports whether this is a run in which everything waits.
func Pausing() bool { return os.Getenv(pausing) != "" }

// RunPausing runs the tests of t's package whose names match run once more, in a
// process in which everything waits.
func RunPausing(t *testing.T, run, skip string) {
	if Pausing() {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run="+run, "-test.skip="+skip)
	c.Env = append(os.Environ(), pausing+"=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// pauses is the module of such a run; it is the last, so that its actions come first.
func pauses() proxy.Module {
	return proxy.Module{Name: "pauses", Compile: func(_ *config.Scope, l *proxy.Location) error {
		for _, p := range []proxy.Phase{proxy.PostRead, proxy.ServerRewrite, proxy.Rewrite, proxy.PreAccess, proxy.Access, proxy.PreContent} {
			l.First(p, pause)
		}
		l.On(proxy.PreContent, pause) // before the content
		return nil
	}}
}

// pausedFor is a Continuation that waits until it is over.
type pausedFor struct{ over atomic.Bool }

// pause suspends x until another goroutine has run. A wake-up for nothing comes before.
func pause(x *proxy.Exchange) error {
	k, waker := &pausedFor{}, x.Waker()
	err := x.Suspend(k)
	go func() {
		waker.Wake()
		k.over.Store(true)
		waker.Wake()
	}()
	return err
}

// Continue ends the pause when it is over.
func (k *pausedFor) Continue(x *proxy.Exchange) error {
	if !k.over.Load() {
		return x.Suspend(k)
	}
	return nil
}
