package appserver

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
)

// However many requests come at once, no worker starts more than it may.
func TestNoWorkerStartsMoreThanMaxRequests(t *testing.T) {
	for _, settings := range []string{
		"workers 1; max_requests 1;",
		"workers 2; max_requests 3;",
		"workers 2; threads 4; max_requests 5;",
	} {
		t.Run(settings, func(t *testing.T) {
			s := newSite(t, settings)
			most := 0
			fmt.Sscanf(settings[strings.Index(settings, "max_requests"):], "max_requests %d", &most)
			var mu sync.Mutex
			counts := map[string]int{}
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					for range 3 {
						r := s.Get("/pid")
						if r.Status != 200 {
							t.Errorf("got %d %q", r.Status, r.Text())
						}
						mu.Lock()
						counts[r.Text()]++
						mu.Unlock()
					}
				})
			}
			clients.Wait()
			for pid, n := range counts {
				if n > most {
					t.Errorf("worker %s served %d requests, of at most %d", pid, n, most)
				}
			}
		})
	}
}

// A worker is replaced when it can be given no more, or when the rest of its
// requests takes no longer than a start.
func TestTheReplacementStartsInTime(t *testing.T) {
	const startup = time.Second
	for _, c := range []struct {
		name        string
		limit       uint64
		served      uint64
		outstanding int
		age         time.Duration // since it was ready
		want        bool
	}{
		{"no limit", 0, 100, 1, time.Second, false},
		{"fresh", 100, 0, 0, time.Second, false},
		{"the last one is given", 3, 2, 1, time.Hour, true},
		{"the only one is given", 1, 0, 1, 0, true},
		{"few requests", 100, 90, 0, time.Hour, false},
		{"as many as a start takes", 100, 50, 0, time.Second, true},
		{"few more than a start takes", 100, 49, 0, time.Second, false},
		{"less than half", 10, 4, 0, time.Millisecond, false},
		{"half, and fast", 10, 5, 0, time.Millisecond, true},
		{"fast, of many", 1000, 10, 0, time.Microsecond, true},
	} {
		p := newPool(NewRuntime(Options{}), newApp("web", config.Pos{}))
		now := time.Now()
		p.now.Store(now.UnixNano())
		w := &worker{pool: p, state: Ready, threads: 1, depth: 1, limit: c.limit, served: c.served, outstanding: c.outstanding}
		w.readied = now.Add(-c.age)
		w.born = w.readied.Add(-startup)
		p.weary(w)
		if w.tired != c.want {
			t.Errorf("%s: tired %v, want %v", c.name, w.tired, c.want)
		}
	}
}
