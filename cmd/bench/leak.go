package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// leak is one run of the mode leak: at its end the server must hold as much as at its
// beginning.
type leak struct {
	requests    int
	connections int // at once
	settle      time.Duration
	bound       growth
}

// growth is what the front, or one worker, may hold more at the end than after
// a tenth of the requests.
type growth struct {
	memory      int64 // bytes, PSS
	threads     int
	descriptors int
	goroutines  int
}

// state is what the server holds without load.
type state struct {
	front      holdings
	goroutines int // 0 where they are not known
	workers    map[int]holdings
}

// runLeak sends many requests and compares what the server holds.
func runLeak(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("leak", flag.ContinueOnError)
	var l leak
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	flags.IntVar(&l.requests, "requests", 1_000_000, "`number` of requests in all")
	flags.IntVar(&l.connections, "connections", 32, "`number` of connections that are open at once; each ends after a few requests, in one of several ways")
	flags.DurationVar(&l.settle, "settle", 5*time.Second, "how long to wait without load before each reading")
	memory := flags.Int64("memory", 8, "`MiB` (PSS) by which the front and each worker may grow")
	flags.IntVar(&l.bound.threads, "threads", 4, "`number` of threads that each may have more at the end")
	flags.IntVar(&l.bound.descriptors, "descriptors", 4, "`number` of descriptors that each may have more at the end")
	flags.IntVar(&l.bound.goroutines, "goroutines", 8, "`number` of goroutines that the front may have more at the end")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if l.requests < 1000 || l.connections < 1 {
		return errors.New("-requests must be at least 1000 and -connections at least 1")
	}
	l.bound.memory = *memory << 20
	return withServers(ctx, *serverList, func(*site) {}, func(s *server) error {
		hello, err := chooseCases("hello")
		if err != nil {
			return err
		}
		if err := s.ready(ctx, hello[0]); err != nil {
			return err
		}
		return l.run(ctx, s)
	})
}

// run reads the server's state after a hundredth, which fills pools and caches,
// a tenth and all of the requests.
func (l *leak) run(ctx context.Context, s *server) error {
	client := &churn{addr: s.addr, visits: leakVisits(), report: &firstLines{w: os.Stderr, left: 20}}
	var states []state
	sent := 0
	for _, part := range []struct {
		name  string
		until int
	}{{"start", l.requests / 100}, {"10%", l.requests / 10}, {"end", l.requests}} {
		began := time.Now()
		client.run(ctx, l.connections, part.until-sent)
		took := time.Since(began)
		st, err := l.rest(ctx, s)
		if err != nil {
			return err
		}
		states = append(states, st)
		st.print(s.name, fmt.Sprintf("%s: %d requests, the last %d in %.1f s", part.name, part.until, part.until-sent, took.Seconds()))
		sent = part.until
	}
	client.print(os.Stdout)
	grown := l.bound.exceeded(states[1], states[2])
	if failed := client.failed(); failed > 0 {
		grown = append(grown, fmt.Sprintf("%d requests failed", failed))
	}
	if len(grown) > 0 {
		return fmt.Errorf("%w: %s\n%s", errBroken, strings.Join(grown, "; "), s.logs())
	}
	return nil
}

// rest waits, and then reads what the server holds.
func (l *leak) rest(ctx context.Context, s *server) (st state, err error) {
	select {
	case <-ctx.Done():
		return st, ctx.Err()
	case <-time.After(l.settle):
	}
	front, err := s.front()
	if err != nil {
		return st, err
	}
	if st.front, err = proc.holdings(front...); err != nil {
		return st, err
	}
	if s.goroutines != nil {
		if st.goroutines, err = s.goroutines(ctx); err != nil {
			return st, err
		}
	}
	workers, err := s.workers(ctx)
	if err != nil {
		return st, err
	}
	st.workers = make(map[int]holdings, len(workers))
	for _, pid := range workers {
		if st.workers[pid], err = proc.holdings(pid); err != nil {
			return st, err
		}
	}
	return st, nil
}

func (st state) print(server, when string) {
	fmt.Printf("%s, %s\n", server, when)
	goroutines := ""
	if st.goroutines > 0 {
		goroutines = fmt.Sprintf(", goroutines %d", st.goroutines)
	}
	fmt.Printf("  %-14s %v%s\n", "front", st.front, goroutines)
	for _, pid := range slices.Sorted(maps.Keys(st.workers)) {
		fmt.Printf("  %-14s %v\n", fmt.Sprintf("worker %d", pid), st.workers[pid])
	}
}

// exceeded returns a line for each figure that has grown beyond the bound from one state
// to the next, and for each worker that was replaced, which has no earlier state.
func (g growth) exceeded(before, after state) []string {
	lines := g.compare("the front", before.front, after.front)
	if n := after.goroutines - before.goroutines; n > g.goroutines {
		lines = append(lines, fmt.Sprintf("the front has %d goroutines more", n))
	}
	for _, pid := range slices.Sorted(maps.Keys(after.workers)) {
		was, ok := before.workers[pid]
		if !ok {
			lines = append(lines, fmt.Sprintf("worker %d was not there before", pid))
			continue
		}
		lines = append(lines, g.compare(fmt.Sprintf("worker %d", pid), was, after.workers[pid])...)
	}
	return lines
}

func (g growth) compare(who string, before, after holdings) (lines []string) {
	if n := after.pss - before.pss; n > g.memory {
		lines = append(lines, fmt.Sprintf("%s holds %s more", who, mebibytes(n)))
	}
	if n := after.threads - before.threads; n > g.threads {
		lines = append(lines, fmt.Sprintf("%s has %d threads more", who, n))
	}
	if n := after.descriptors - before.descriptors; n > g.descriptors {
		lines = append(lines, fmt.Sprintf("%s has %d descriptors more", who, n))
	}
	return lines
}

// print prints the numbers of requests and connections, and the failures.
func (c *churn) print(w io.Writer) {
	fmt.Fprintf(w, "%d connections:", c.connections())
	for how := range endings {
		fmt.Fprintf(w, " %d %s;", c.ended[how].Load(), endingNames[how])
	}
	fmt.Fprintln(w)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, reason := range slices.Sorted(maps.Keys(c.failures)) {
		fmt.Fprintf(w, "failed, %s: %d\n", reason, c.failures[reason])
	}
}
