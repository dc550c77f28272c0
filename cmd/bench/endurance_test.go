package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHoldingsSumOverProcesses(t *testing.T) {
	proc := procfs(t.TempDir())
	for pid, threads := range map[int]string{10: "3", 11: "4"} {
		writeProcess(t, proc, pid, 1, 1, 100)
		if err := os.WriteFile(proc.path(pid, "status"), []byte("Name:\tx\nThreads:\t"+threads+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, fd := range []string{"0", "1"} {
			if err := os.MkdirAll(filepath.Join(proc.path(pid, "fd"), fd), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	h, err := proc.holdings(10, 11, 12)
	want := holdings{pss: 200 << 10, rss: int64(4 * os.Getpagesize()), threads: 7, descriptors: 4, processes: 2}
	if err != nil || h != want {
		t.Errorf("holdings = %+v, %v, want %+v", h, err, want)
	}
}

func TestGrowthBeyondItsBoundIsNamed(t *testing.T) {
	bound := growth{memory: 1 << 20, threads: 2, descriptors: 2, goroutines: 2}
	base := func() state {
		return state{front: holdings{pss: 10 << 20, threads: 5, descriptors: 9}, goroutines: 7,
			workers: map[int]holdings{42: {pss: 8 << 20, threads: 1, descriptors: 3}}}
	}
	tests := []struct {
		name string
		grow func(*state)
		want string
	}{
		{"as much as may be", func(s *state) {
			s.front.pss += 1 << 20
			s.front.threads += 2
			s.goroutines += 2
		}, ""},
		{"less", func(s *state) { s.front, s.goroutines = holdings{}, 0 }, ""},
		{"memory of the front", func(s *state) { s.front.pss += 1<<20 + 1 }, "the front holds 1.0 MiB more"},
		{"threads of the front", func(s *state) { s.front.threads += 3 }, "the front has 3 threads more"},
		{"goroutines", func(s *state) { s.goroutines += 3 }, "the front has 3 goroutines more"},
		{"descriptors of a worker", func(s *state) { s.workers[42] = holdings{descriptors: 6} }, "worker 42 has 3 descriptors more"},
		{"another worker", func(s *state) { s.workers = map[int]holdings{43: {}} }, "worker 43 was not there before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after := base()
			test.grow(&after)
			if got := strings.Join(bound.exceeded(base(), after), "; "); got != test.want {
				t.Errorf("exceeded = %q, want %q", got, test.want)
			}
		})
	}
}

// site of the churn's tests: what leakVisits ask for, and sizes.
func visited(w http.ResponseWriter, r *http.Request) {
	sizes := map[string]int{"/static/1k": 1 << 10, "/static/100k": 100 << 10, "/static/10m": 10 << 20, "/": 13, "/10k": 10 << 10, "/upload": 5}
	io.Copy(io.Discard, r.Body)
	size, ok := sizes[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	w.Write(make([]byte, size))
}

func TestChurnFindsNothingWrongWithARightServer(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(visited))
	defer backend.Close()
	c := &churn{addr: backend.Listener.Addr().String(), visits: leakVisits(), report: io.Discard}
	c.run(t.Context(), 4, 500)
	if c.failed() > 0 || c.connections() == 0 {
		t.Errorf("%d connections, failures %v; want connections and no failure", c.connections(), c.failures)
	}
}

func TestChurnNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		reason  string
	}{
		{"another status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "status 502"},
		{"another length", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("short")) }, "wrong body"},
		{"an end that nobody asked for", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			visited(w, r)
		}, "connection"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backend := httptest.NewServer(test.handler)
			defer backend.Close()
			c := &churn{addr: backend.Listener.Addr().String(), visits: leakVisits()[:1], report: io.Discard}
			c.run(t.Context(), 1, 5)
			if c.failures[test.reason] == 0 {
				t.Errorf("failures are %v, want %q", c.failures, test.reason)
			}
		})
	}
}

func TestTheIdleCrowdIsServedOnce(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(visited))
	defer backend.Close()
	c := &waiters{idleKind: idleKinds()[0], addr: backend.Listener.Addr().String()}
	if err := c.open(t.Context(), 40); err != nil {
		t.Fatal(err)
	}
	if err := c.stillServed(); err != nil {
		t.Error(err)
	}
	c.close()
	if err := c.stillServed(); err == nil {
		t.Error("closed connections count as served")
	}
}

func TestSlowClientsMeetTheirFate(t *testing.T) {
	const timeout = 200 * time.Millisecond
	tests := []struct {
		name  string
		kind  int
		heads time.Duration // ReadHeaderTimeout of the server
		watch time.Duration // until what is open then counts as open
		cut   bool
	}{
		{"a slow head", 0, timeout, time.Minute, true},
		{"a slow body", 3, 0, 3 * timeout, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backend := httptest.NewUnstartedServer(http.HandlerFunc(visited))
			backend.Config.ReadHeaderTimeout = test.heads
			backend.Start()
			defer backend.Close()
			ctx, cancel := context.WithTimeout(t.Context(), test.watch)
			defer cancel()
			c := &slow{every: 20 * time.Millisecond, timeout: timeout}
			f, err := c.client(ctx, test.kind, backend.Listener.Addr().String(), test.kind)
			if err != nil || f.cut != test.cut {
				t.Errorf("fate is %+v, %v, want it cut: %v", f, err, test.cut)
			}
		})
	}
}

func TestVerdictOnSlowClients(t *testing.T) {
	c := &slow{timeout: 5 * time.Second}
	cut, kept := slowKind{name: "a head", cut: true}, slowKind{name: "a body"}
	tests := []struct {
		name  string
		kind  slowKind
		after []time.Duration
		open  int
		holds bool
	}{
		{"cut in time", cut, []time.Duration{5 * time.Second, 6 * time.Second}, 0, true},
		{"one is left", cut, []time.Duration{5 * time.Second}, 1, false},
		{"cut early", cut, []time.Duration{3 * time.Second}, 0, false},
		{"cut late", cut, []time.Duration{5 * time.Second, 8 * time.Second}, 0, false},
		{"a body that goes on", kept, nil, 3, true},
		{"a body that is cut", kept, []time.Duration{5 * time.Second}, 2, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := c.verdict(test.kind, test.after, test.open); (err == nil) != test.holds || err != nil && !errors.Is(err, errBroken) {
				t.Errorf("verdict = %v, want it to hold: %v", err, test.holds)
			}
		})
	}
}
