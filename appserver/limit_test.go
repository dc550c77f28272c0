package appserver

import (
	"fmt"
	"strings"
	"sync"
	"testing"
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
							t.Errorf("got %d %q; want 200", r.Status, r.Text())
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
					t.Errorf("worker %s: got %d requests, want at most %d", pid, n, most)
				}
			}
		})
	}
}
