package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// fairCase is a load in which every client waits for its answer and asks again.
type fairCase struct {
	workers, clients int
	service          time.Duration // that each request takes in its worker
}

// fairCases are the cases of the mode fair. In none of them does a client wait longer than
// queue_timeout.
var fairCases = []fairCase{
	{1, 10, 300 * time.Millisecond}, {1, 20, 30 * time.Millisecond}, {1, 200, 10 * time.Millisecond}, {1, 200, time.Millisecond},
	{2, 10, 300 * time.Millisecond}, {2, 50, 30 * time.Millisecond}, {2, 200, 10 * time.Millisecond}, {2, 200, time.Millisecond},
	{8, 40, 300 * time.Millisecond}, {8, 200, 100 * time.Millisecond}, {8, 200, 30 * time.Millisecond}, {8, 200, time.Millisecond},
}

// fair is one run of the mode fair.
type fair struct {
	duration time.Duration
	slack    time.Duration
	share    float64
	tries    int
	broken   []string
}

// fairResult is the result of one server in one case.
type fairResult struct {
	rate            float64 // right answers a second
	median, slowest time.Duration
	failed          int
}

// runFair measures how long each client waits for a worker while all are busy.
func runFair(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fair", flag.ContinueOnError)
	var f fair
	before := flags.String("before", "", "`path` of an earlier alicorn program: the rates must not be lower than its")
	flags.DurationVar(&f.duration, "duration", 3*time.Second, "how long each case lasts at least; it goes on until every client has two answers")
	flags.DurationVar(&f.slack, "slack", 50*time.Millisecond, "how long the machine itself may delay a request")
	flags.Float64Var(&f.share, "share", 0.93, "`share` of the earlier program's rate that is not lower")
	flags.IntVar(&f.tries, "tries", 3, "`number` of measurements of a case that must break a rule until it counts as broken: the machine's noise does not come back each time")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	site, err := newSite()
	if err != nil {
		return err
	}
	defer os.RemoveAll(site.dir)
	site.app = slowApp
	builds := []*alicorn{newAlicorn(site.dir)}
	if *before != "" {
		earlier, err := newBuild("before", *before)
		if err != nil {
			return err
		}
		builds = append(builds, earlier)
	}
	for _, c := range fairCases {
		broken, err := f.compare(ctx, site, c, builds)
		for again := 1; err == nil && len(broken) > 0 && again < f.tries; again++ {
			broken, err = f.compare(ctx, site, c, builds)
		}
		if err != nil {
			return err
		}
		f.broken = append(f.broken, broken...)
	}
	if len(f.broken) > 0 {
		return fmt.Errorf("%w: %s", errBroken, strings.Join(f.broken, "; "))
	}
	return nil
}

// compare measures one case with every build. It returns the rules that the
// first one broke.
func (f *fair) compare(ctx context.Context, site *site, c fairCase, builds []*alicorn) (broken []string, err error) {
	site.workers = c.workers
	var results []fairResult
	for _, build := range builds {
		r, err := f.measure(ctx, site, c, build)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%-8s %d workers, %3d clients, %3d ms: first come, first served %s; median %s, slowest %s; %.0f/s, %d failed\n",
			build.name, c.workers, c.clients, c.service.Milliseconds(), milliseconds(c.inOrder(r.rate)), milliseconds(r.median), milliseconds(r.slowest), r.rate, r.failed)
		results = append(results, r)
	}
	return f.judge(c, results), nil
}

// inOrder returns how long every request takes where the first to come is the
// first to be served: with so many clients for so many workers, or, if that is
// longer, at the rate at which the server works.
func (c fairCase) inOrder(rate float64) time.Duration {
	rounds := (c.clients + c.workers - 1) / c.workers
	measured := time.Duration(float64(c.clients) / max(rate, 0.001) * float64(time.Second))
	return max(time.Duration(rounds)*c.service, min(measured, requestDeadline))
}

// judge returns the rules that the first result breaks; the others' rates are
// its bounds.
func (f *fair) judge(c fairCase, results []fairResult) (broken []string) {
	r := results[0]
	name := fmt.Sprintf("%d workers, %d clients, %d ms", c.workers, c.clients, c.service.Milliseconds())
	if r.failed > 0 {
		broken = append(broken, fmt.Sprintf("%s: %d requests failed", name, r.failed))
	}
	if limit := 2*c.inOrder(r.rate) + f.slack; r.slowest > limit {
		broken = append(broken, fmt.Sprintf("%s: the slowest took %s, limit %s", name, milliseconds(r.slowest), milliseconds(limit)))
	}
	for _, earlier := range results[1:] {
		if r.rate < f.share*earlier.rate {
			broken = append(broken, fmt.Sprintf("%s: %.0f/s, where an earlier program served %.0f/s", name, r.rate, earlier.rate))
		}
	}
	return broken
}

// awaitWorkers waits until n workers are ready.
func (s *server) awaitWorkers(ctx context.Context, n int) error {
	for deadline := time.Now().Add(startDeadline); ; time.Sleep(50 * time.Millisecond) {
		pids, err := s.workers(ctx)
		if err == nil && len(pids) == n || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d of %d workers are ready (%v)", s.name, len(pids), n, err)
		}
	}
}

func (f *fair) measure(ctx context.Context, site *site, c fairCase, build *alicorn) (r fairResult, err error) {
	s, err := build.start(site)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.answersPid(ctx); err != nil {
		return r, err
	}
	if err := s.awaitWorkers(ctx, c.workers); err != nil {
		return r, err
	}
	wait := time.Duration((c.clients+c.workers-1)/c.workers) * c.service
	timed, cancel := context.WithTimeout(ctx, max(f.duration, 2*wait))
	defer cancel()
	client := &loadClient{addr: s.addr, path: fmt.Sprintf("/wait?%d", c.service.Milliseconds()), prefix: []byte("pid "), report: &firstLines{w: os.Stderr, left: 3}}
	started := time.Now()
	t := client.run(timed, c.clients)
	elapsed := time.Since(started)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if len(t.latencies) == 0 {
		return r, fmt.Errorf("%s answered nothing", s.name)
	}
	slices.Sort(t.latencies)
	r = fairResult{rate: float64(len(t.latencies)) / elapsed.Seconds(), median: percentile(t.latencies, 0.5), slowest: t.latencies[len(t.latencies)-1], failed: t.failed()}
	r.rate = math.Round(r.rate*10) / 10
	return r, nil
}
