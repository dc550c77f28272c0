package main

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"
)

// errand is what an ordinary visitor asks for.
type errand struct {
	name   string
	path   string
	prefix string // of the right answer's body
}

// steady is ordinary load: visitors who ask at fixed times, whether or not earlier answers
// have come. So a wait counts for each request that it delays. Each visitor takes a new
// connection now and then.
type steady struct {
	addr     string
	errands  []errand
	visitors int // of each errand
	rate     int // requests/s of each errand
	fresh    int // requests on a connection before the next one
	report   io.Writer
}

// run visits until ctx ends and returns a tally for each errand.
func (s *steady) run(ctx context.Context) []*tally {
	tallies := make([][]*tally, len(s.errands))
	period := time.Duration(s.visitors) * time.Second / time.Duration(s.rate)
	start := time.Now()
	var wg sync.WaitGroup
	for e, errand := range s.errands {
		tallies[e] = make([]*tally, s.visitors)
		for v := range s.visitors {
			t := newTally()
			tallies[e][v] = t
			wg.Go(func() {
				s.visit(ctx, errand, start.Add(period*time.Duration(v)/time.Duration(s.visitors)), period, t)
			})
		}
	}
	wg.Wait()
	sums := make([]*tally, len(s.errands))
	for e := range sums {
		sums[e] = newTally()
		for _, t := range tallies[e] {
			sums[e].add(t)
		}
		slices.Sort(sums[e].latencies)
	}
	return sums
}

// visit asks at next and every period after it. The time of an answer counts
// from when its request was due.
func (s *steady) visit(ctx context.Context, e errand, next time.Time, period time.Duration, t *tally) {
	client := &loadClient{addr: s.addr, path: e.path, prefix: []byte(e.prefix), report: s.report}
	var c *keptConn
	for ; ; next = next.Add(period) {
		select {
		case <-ctx.Done():
			if c != nil {
				c.conn.Close()
			}
			return
		case <-time.After(time.Until(next)):
		}
		c = client.once(c, next, t)
		if c != nil && c.used >= s.fresh {
			c.conn.Close()
			c = nil
		}
	}
}
