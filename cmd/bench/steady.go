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
// connection now and then. Times in which the whole machine stood still count for nobody.
type steady struct {
	addr     string
	errands  []errand
	visitors int // of each errand
	rate     int // requests/s of each errand
	fresh    int // requests on a connection before the next one
	report   io.Writer
	// watch begins to look for standstills of the machine, and end returns them; nil: all
	// time counts.
	watch func() (end func() (standstills, error), err error)
}

// dueTimes are the times at which the requests of a tally's latencies were due.
type dueTimes []time.Time

// run visits until ctx ends. It returns a tally for each errand, and how long the machine
// stood still.
func (s *steady) run(ctx context.Context) (sums []*tally, still time.Duration, err error) {
	end := func() (standstills, error) { return nil, nil }
	if s.watch != nil {
		if end, err = s.watch(); err != nil {
			return nil, 0, err
		}
	}
	tallies, due := s.visitAll(ctx)
	seen, err := end()
	sums = make([]*tally, len(s.errands))
	for e := range sums {
		sums[e] = newTally()
		for v, t := range tallies[e] {
			for i, from := range due[e][v] {
				t.latencies[i] -= seen.within(from, from.Add(t.latencies[i]))
			}
			sums[e].add(t)
		}
		slices.Sort(sums[e].latencies)
	}
	return sums, seen.total(), err
}

// visitAll visits until ctx ends. It returns a tally for each visitor of each errand.
func (s *steady) visitAll(ctx context.Context) (tallies [][]*tally, due [][]dueTimes) {
	tallies, due = make([][]*tally, len(s.errands)), make([][]dueTimes, len(s.errands))
	period := time.Duration(s.visitors) * time.Second / time.Duration(s.rate)
	start := time.Now()
	var wg sync.WaitGroup
	for e, errand := range s.errands {
		tallies[e], due[e] = make([]*tally, s.visitors), make([]dueTimes, s.visitors)
		for v := range s.visitors {
			t := newTally()
			tallies[e][v] = t
			wg.Go(func() {
				due[e][v] = s.visit(ctx, errand, start.Add(period*time.Duration(v)/time.Duration(s.visitors)), period, t)
			})
		}
	}
	wg.Wait()
	return tallies, due
}

// visit asks at next and every period after it. The time of an answer counts
// from when its request was due, which visit returns for each answer.
func (s *steady) visit(ctx context.Context, e errand, next time.Time, period time.Duration, t *tally) (due dueTimes) {
	client := &loadClient{addr: s.addr, path: e.path, prefix: []byte(e.prefix), report: s.report}
	var c *keptConn
	for ; ; next = next.Add(period) {
		select {
		case <-ctx.Done():
			if c != nil {
				c.conn.Close()
			}
			return due
		case <-time.After(time.Until(next)):
		}
		if c = client.once(c, next, t); len(t.latencies) > len(due) {
			due = append(due, next)
		}
		if c != nil && c.used >= s.fresh {
			c.conn.Close()
			c = nil
		}
	}
}
