package pool_test

import (
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"alicorn/appserver/pool"
	"alicorn/appserver/pool/pooltest"
	"alicorn/proxy/proxytest"
)

// mostInterrupted is the pool's constant of that name.
const mostInterrupted = 3

// die is a Boot whose worker a signal ends.
func die(f *pooltest.Fake) bool {
	f.Exit = pool.Exit{Code: -1, Signal: syscall.SIGKILL}
	return false
}

// A worker that a signal ends while it starts is no failure of the application: the first start
// goes on, also where all workers are ended together more often than a failed start takes.
func TestAStartThatASignalEndsIsRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ workers, killed int }{{1, mostInterrupted - 1}, {3, 3}} {
		s := startSite(t, pool.Settings{Workers: c.workers}, &pooltest.Fakes{
			Script: (*pooltest.Fake).Work,
			Boot:   func(f *pooltest.Fake) bool { return f.Number >= c.killed || die(f) },
		})
		if err := s.pool.Await(t.Context()); err != nil {
			t.Fatalf("%d workers, %d starts are ended: the first start ends with %q, want it to go on", c.workers, c.killed, err)
		}
		if got, want := s.fakes.Started(), c.killed+c.workers; got != want {
			t.Errorf("%d workers: got %d starts, want %d", c.workers, got, want)
		}
		expect(t, s.Get("/"), 200, "")
		s.Log.Wait(t, "ended with SIGKILL (killed) before the application was ready; another start follows")
		if st := s.pool.Brief(); st.State != pool.Running || st.Error != "" {
			t.Errorf("%d workers: got the state %s with the error %q, want running without one", c.workers, st.State, st.Error)
		}
	}
}

// Requests wait while signals end the starts of the only worker.
func TestRequestsWaitWhileSignalsEndStarts(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := startSite(t, pool.Settings{Workers: 1}, &pooltest.Fakes{
		Script: (*pooltest.Fake).Work,
		Boot: func(f *pooltest.Fake) bool {
			if f.Number == 0 || f.Number == mostInterrupted {
				return true
			}
			<-hold
			return die(f)
		},
	})
	if err := s.pool.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.fakes.Fake(0).Signal(syscall.SIGKILL)
	proxytest.Eventually(t, func() bool { return s.fakes.Started() == 2 }, "the next worker starts")
	answered := make(chan *proxytest.Recorder)
	go func() { answered <- s.Get("/") }()
	proxytest.Eventually(t, func() bool { return s.pool.Brief().Queue == 1 }, "a request waits")
	if st := s.pool.Brief().State; st != pool.Starting {
		t.Errorf("got the state %s, want starting", st)
	}
	close(hold)
	expect(t, <-answered, 200, "3")
}

// An application has failed if signals end each of its starts, as its import may be the cause.
// Later starts come with a delay. The first that comes up ends that.
func TestAnApplicationWhoseStartsSignalsEndHasFailed(t *testing.T) {
	t.Parallel()
	const workers = 4
	var sound atomic.Bool
	s := startSite(t, pool.Settings{Workers: workers}, &pooltest.Fakes{
		Script: (*pooltest.Fake).Work,
		Boot:   func(f *pooltest.Fake) bool { return sound.Load() || die(f) },
	})
	const why = "ended with SIGKILL (killed) before the application was ready, as had others before it"
	var failed *pool.BootError
	if err := s.pool.Await(t.Context()); !errors.As(err, &failed) || !strings.Contains(failed.Message, why) {
		t.Fatalf("the first start ends with %v, want %q in it", err, why)
	}
	if got, most := s.fakes.Started(), workers*mostInterrupted; got < mostInterrupted || got > most {
		t.Errorf("got %d starts until the application has failed, want from %d to %d", got, mostInterrupted, most)
	}
	if st := s.pool.Brief(); st.State != pool.Failed || !strings.Contains(st.Error, why) || st.Next.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("got the state %s with the error %q, want failed with %q", st.State, st.Error, why)
	}
	if r := s.Get("/"); r.Status != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("a request gets %d %v, want 503 with Retry-After", r.Status, r.Header)
	}
	sound.Store(true)
	proxytest.Eventually(t, func() bool { st := s.pool.Brief(); return st.State == pool.Running && st.Error == "" }, "it comes up")
}

// A starting worker that a signal has stopped is replaced, and the application has not failed.
func TestAStartThatIsStoppedIsRepeated(t *testing.T) {
	t.Parallel()
	stopped := exec.Command("sleep", "60")
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopped.Process.Kill()
		stopped.Wait()
	})
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := startSite(t, pool.Settings{Workers: 1, StartupTimeout: 500 * time.Millisecond}, &pooltest.Fakes{
		Script: (*pooltest.Fake).Work,
		PID:    stopped.Process.Pid,
		Boot: func(f *pooltest.Fake) bool {
			if f.Number == 0 {
				<-f.Killed
				return die(f)
			}
			return true
		},
	})
	if err := s.pool.Await(t.Context()); err != nil {
		t.Fatalf("the first start ends with %q, want it to go on", err)
	}
	s.Log.Wait(t, "was stopped by a signal, such as SIGSTOP, for startup_timeout (500ms), before the application was ready; another start follows")
	expect(t, s.Get("/"), 200, "1")
}
