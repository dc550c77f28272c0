package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// chaos is load on one server while something is done to it.
type chaos struct {
	kind        string // reload, recycle or kill
	duration    time.Duration
	every       time.Duration
	connections int
	workers     int
	threads     int
}

// disruption counts what was done to the server.
type disruption struct {
	count  int
	errors []error
}

// runChaos counts the requests that fail while the server is disturbed.
func runChaos(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	var c chaos
	flags.StringVar(&c.kind, "kind", "reload", "reload, recycle or kill")
	flags.DurationVar(&c.duration, "duration", time.Minute, "of the load")
	flags.DurationVar(&c.every, "every", 0, "between reloads (default 2s) or kills (default 3s)")
	flags.IntVar(&c.connections, "connections", 16, "kept connections of the load")
	flags.IntVar(&c.threads, "threads", 1, "threads of each worker")
	flags.IntVar(&c.workers, "workers", 2, "workers of the pool")
	name := flags.String("servers", "alicorn", "servers by name, separated by commas")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	return withServers(ctx, *name, c.shape, func(s *server) error {
		if err := s.answersPid(ctx); err != nil {
			return err
		}
		return c.run(ctx, s)
	})
}

// shape gives the site the pool that the kind needs.
func (c *chaos) shape(s *site) {
	s.app, s.workers, s.threads = slowApp, c.workers, c.threads
	if c.kind == "recycle" {
		s.maxRequests = 100
	}
}

// complete checks the kind and fills in its interval.
func (c *chaos) complete() error {
	intervals := map[string]time.Duration{"reload": 2 * time.Second, "recycle": 0, "kill": 3 * time.Second}
	interval, ok := intervals[c.kind]
	if !ok {
		return fmt.Errorf("unknown kind %q; there are reload, recycle and kill", c.kind)
	}
	if c.every == 0 {
		c.every = interval
	}
	return nil
}

// run drives the load, disturbs the server beside it and judges the outcome.
func (c *chaos) run(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	var (
		wg sync.WaitGroup
		d  disruption
	)
	wg.Go(func() { d = c.disturb(ctx, s) })
	client := &loadClient{addr: s.addr, path: "/", prefix: []byte("pid "), report: &firstLines{w: os.Stderr, left: 20}}
	t := client.run(ctx, c.connections)
	wg.Wait()
	c.print(s, t, d)
	err := c.verdict(t, d)
	if err != nil {
		fmt.Fprintf(os.Stderr, "last lines of the server's log:\n%s", s.logs())
	}
	return err
}

// disturb acts on the server at each interval until ctx ends. An action in
// progress is finished.
func (c *chaos) disturb(ctx context.Context, s *server) disruption {
	var d disruption
	act := map[string]func(context.Context, *server) error{"reload": reloadOnce, "kill": killOnce}[c.kind]
	if act == nil {
		return d
	}
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return d
		case <-tick.C:
		}
		if err := act(context.WithoutCancel(ctx), s); err != nil {
			d.errors = append(d.errors, err)
			continue
		}
		d.count++
	}
}

func reloadOnce(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, requestDeadline)
	defer cancel()
	return s.reload(ctx)
}

// killOnce kills one ready worker at random, which must be a descendant of the
// server's: a pid read a moment ago may be another's by now.
func killOnce(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, requestDeadline)
	defer cancel()
	pids, err := s.workers(ctx)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("no worker is ready")
	}
	pid := pids[rand.IntN(len(pids))]
	tree, err := proc.tree(s.roots()...)
	if err != nil {
		return err
	}
	if !slices.Contains(tree, pid) || slices.Contains(s.roots(), pid) {
		return fmt.Errorf("cannot kill %d: it is not a worker of %s", pid, s.name)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func (c *chaos) print(s *server, t *tally, d disruption) {
	fmt.Printf("%s, %s for %v: %d requests over %d connections, %d failed, answered by %d workers\n",
		s.name, c.kind, c.duration, t.done, c.connections, t.failed(), len(t.bodies))
	switch c.kind {
	case "reload":
		fmt.Printf("reloads: %d\n", d.count)
	case "kill":
		fmt.Printf("kills: %d, of workers with %d threads\n", d.count, c.threads)
	}
	for _, err := range d.errors {
		fmt.Printf("did not work: %v\n", err)
	}
	for _, reason := range slices.Sorted(maps.Keys(t.failures)) {
		fmt.Printf("failed, %s: %d\n", reason, t.failures[reason])
	}
	fmt.Printf("latency: %s\n", distribution(t.latencies))
}

// verdict returns nil if the rule of the kind held. Reloads and recycling fail no
// request; a kill fails at most what the worker had started, each with 502. A run
// in which nothing was disturbed, or nothing answered, proves nothing.
func (c *chaos) verdict(t *tally, d disruption) error {
	var broken []string
	if len(d.errors) > 0 {
		broken = append(broken, fmt.Sprintf("%d actions did not work", len(d.errors)))
	}
	if c.kind != "recycle" && d.count == 0 {
		broken = append(broken, "nothing was done to the server")
	}
	if len(t.latencies) == 0 {
		broken = append(broken, "no request was answered")
	}
	if disturbed := d.count > 0 || c.kind == "recycle"; disturbed && len(t.bodies) <= c.workers {
		broken = append(broken, fmt.Sprintf("only %d workers answered: they were not replaced", len(t.bodies)))
	}
	allowed := 0
	if c.kind == "kill" {
		allowed = d.count * c.threads
		if other := t.failed() - t.failures["status 502"]; other > 0 {
			broken = append(broken, fmt.Sprintf("%d requests failed otherwise than with 502", other))
		}
	}
	if t.failed() > allowed {
		broken = append(broken, fmt.Sprintf("%d requests failed, %d may", t.failed(), allowed))
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: %s", errBroken, strings.Join(broken, "; "))
	}
	return nil
}

// firstLines passes on a few writes and drops the rest.
type firstLines struct {
	mu   sync.Mutex
	w    io.Writer
	left int
}

func (f *firstLines) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return len(p), nil
	}
	f.left--
	return f.w.Write(p)
}
