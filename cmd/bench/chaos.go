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
	"time"
)

// chaos is load on one server while something is done to it.
type chaos struct {
	kind        disturbance
	duration    time.Duration // of the load, which goes on after it until the progress is enough
	every       time.Duration // from one act to the next
	acts        int           // how many there must be at least
	connections int
	workers     int
	threads     int
	asgi        bool       // the application is an ASGI one, with a mixture beside the load
	random      *rand.Rand // for the acts, which run one after the other
	routes      []route    // how the load reaches the server; none: by TCP to its address
	progress    progress
	earlier     []identified  // kind upgrade: the processes of earlier programs
	hosts       newHosts      // kind forty
	crowd       crowd         // kind descriptors
	backends    *backendGroup // kinds backends and outage
}

// disruption counts the acts.
type disruption struct {
	count  int
	errors []error
}

// runChaos counts the requests that fail while the server is disturbed.
func runChaos(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	var c chaos
	kind := flags.String("kind", "reload", "the `kind` of disturbance: "+disturbanceNames())
	flags.DurationVar(&c.duration, "duration", time.Minute, "how long the load lasts at least")
	flags.DurationVar(&c.every, "every", 0, "time from one act to the next (default: that of the kind, such as 2s for reloads)")
	flags.IntVar(&c.acts, "acts", 0, "`number` of acts at least (default: that of the kind, such as 20 for upgrades)")
	flags.IntVar(&c.connections, "connections", 16, "`number` of kept connections of the load")
	flags.IntVar(&c.threads, "threads", 1, "`number` of threads of each worker")
	flags.IntVar(&c.workers, "workers", 2, "`number` of workers of the pool")
	flags.DurationVar(&c.hosts.limit, "host-limit", time.Second, "kind forty: how soon a virtual host that a reload adds must be served; 0: no limit")
	flags.BoolVar(&c.asgi, "asgi", false, "disturb an ASGI application, with event streams, WebSockets and clients that leave beside the requests")
	backends := flags.String("backend", "", "kinds backends and outage: `names` of what requests are passed on to, one after the other (default: all): "+
		names(backendKinds(), func(k backendKind) string { return k.name }))
	outage := flags.Duration("outage", 20*time.Second, "kind outage: how long no backend answers")
	seed := flags.Uint64("seed", 1, "seed of the random choices")
	name := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if c.connections < 1 || c.workers < 1 || c.threads < 1 || c.acts < 0 {
		return errors.New("-connections, -workers and -threads must be positive, and -acts not negative")
	}
	var err error
	if c.kind, err = disturbanceNamed(*kind); err != nil {
		return err
	}
	switch {
	case c.asgi && c.kind.asgi == wsgiAlone:
		return fmt.Errorf("kind %s disturbs WSGI applications alone", c.kind.name)
	case c.kind.asgi == asgiAlone:
		c.asgi = true
	}
	c.random = rand.New(rand.NewPCG(*seed, 0))
	if !c.kind.passesOn {
		return c.measure(ctx, *name)
	}
	chosen, err := chooseBackends(*backends)
	if err != nil {
		return err
	}
	return c.measureBackends(ctx, *name, chosen, *outage)
}

// measureBackends runs the named servers with backends of one kind after the other.
func (c *chaos) measureBackends(ctx context.Context, servers string, kinds []backendKind, outage time.Duration) error {
	var errs []error
	workers := c.workers
	for _, kind := range kinds {
		fmt.Printf("backend %s\n", kind.name)
		c.workers, c.backends = workers, &backendGroup{kind: kind, outage: outage}
		if err := c.measure(ctx, servers); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind.name, err))
		}
	}
	return errors.Join(errs...)
}

// measure runs the named servers, each under load and disturbed.
func (c *chaos) measure(ctx context.Context, servers string) error {
	if c.every == 0 {
		c.every = c.kind.every
	}
	if c.acts == 0 {
		c.acts = max(c.kind.acts, 1)
	}
	err := withSite(ctx, servers, c.shape, func(s *server) error {
		if err := s.answersPid(ctx); err != nil {
			return err
		}
		return c.run(ctx, s)
	})
	if c.backends != nil {
		err = errors.Join(err, c.backends.stop())
	}
	return err
}

// shape sets the site's pool as the kind needs it.
func (c *chaos) shape(s *site) error {
	s.app, s.workers, s.threads = slowApp, c.workers, c.threads
	if c.asgi {
		s.app, s.asgi, s.settings = asgiChaosApp, true, asgiChaosSettings
	}
	if c.kind.shape != nil {
		return c.kind.shape(c, s)
	}
	return nil
}

// run drives the load, disturbs the server meanwhile, and judges the results.
func (c *chaos) run(ctx context.Context, s *server) error {
	before, err := c.settled(ctx, s)
	if err != nil {
		return err
	}
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	c.progress.reset()
	var (
		wg     sync.WaitGroup
		d      disruption
		beside error
		m      = newMixture(s.addr, c.kind)
	)
	wg.Go(func() { d = c.disturb(loaded, s) })
	switch {
	case c.kind.beside != nil:
		wg.Go(func() { beside = c.kind.beside(loaded, c, s) })
	case c.asgi:
		wg.Go(func() { m.run(loaded) })
	}
	wg.Go(func() {
		defer cancel()
		c.last(loaded)
	})
	t := c.load(loaded, s)
	wg.Wait()
	c.print(s, t, d)
	if c.asgi {
		beside = m.verdict(d.count)
	}
	err = errors.Join(beside, c.verdict(t, d), c.nothingLeft(ctx, s, before))
	if c.kind.after != nil {
		err = errors.Join(err, c.kind.after(ctx, c, s))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "last lines of the server's log:\n%s", s.logs())
	}
	return err
}

// load drives the connections, divided among the routes, until ctx ends.
func (c *chaos) load(ctx context.Context, s *server) *tally {
	routes := c.routes
	if len(routes) == 0 {
		routes = []route{{network: "tcp", addr: s.addr}}
	}
	tallies := make([]*tally, len(routes))
	report := &firstLines{w: os.Stderr, left: 20}
	var wg sync.WaitGroup
	for i, r := range routes {
		if r.addr == "" {
			r.addr = s.addr
		}
		client := &loadClient{addr: s.addr, path: "/", prefix: []byte("pid "), report: report, answered: c.progress.answered, connect: r.dial, pause: c.kind.pause}
		n := (c.connections + len(routes) - 1 - i) / len(routes)
		wg.Go(func() { tallies[i] = client.run(ctx, max(n, 1)) })
	}
	wg.Wait()
	total := newTally()
	for i, t := range tallies {
		if len(routes) > 1 {
			fmt.Printf("by %s: %d requests, %d failed\n", routes[i].name, t.done, t.failed())
		}
		total.add(t)
	}
	return total
}

// disturb acts on the server at each interval until ctx ends. An act in progress
// is finished.
func (c *chaos) disturb(ctx context.Context, s *server) disruption {
	var d disruption
	if c.kind.act == nil {
		return d
	}
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil { // a tick may have come with the end
			return d
		}
		if err := c.act(ctx, s); err != nil {
			d.errors = append(d.errors, err)
		} else {
			d.count++
		}
		c.progress.acted()
	}
}

func (c *chaos) act(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actDeadline)
	defer cancel()
	return c.kind.act(ctx, c, s)
}

func (c *chaos) print(s *server, t *tally, d disruption) {
	each := plural(c.threads, "thread")
	if c.asgi {
		each = "an event loop"
	}
	fmt.Printf("%s, %s for %v: %d requests over %d connections, %d failed, answered by %d workers with %s each\n",
		s.name, c.kind.name, c.duration, t.done, c.connections, t.failed(), len(t.bodies), each)
	if c.kind.act != nil {
		fmt.Printf("%s: %d\n", c.kind.noun, d.count)
	}
	for _, err := range d.errors[:min(len(d.errors), firstFaults)] {
		fmt.Printf("an act failed: %v\n", err)
	}
	for _, reason := range slices.Sorted(maps.Keys(t.failures)) {
		fmt.Printf("failed, %s: %d\n", reason, t.failures[reason])
	}
	fmt.Printf("latency: %s\n", distribution(t.latencies))
}

// verdict returns nil if the rule of the kind holds: no more requests have failed than
// the kind allows, each with 502. A run with too few acts, or without an answer, breaks
// the rule, too.
func (c *chaos) verdict(t *tally, d disruption) error {
	var broken []string
	if len(d.errors) > 0 {
		broken = append(broken, fmt.Sprintf("%d acts failed", len(d.errors)))
	}
	if least := max(c.acts, 1); c.kind.act != nil && d.count < least {
		broken = append(broken, fmt.Sprintf("the server was disturbed %d times, not %d times or more", d.count, least))
	}
	if len(t.latencies) == 0 {
		broken = append(broken, "no request was answered")
	}
	if disturbed := d.count > 0 || c.kind.act == nil; c.kind.replaces && disturbed && len(t.bodies) <= c.workers {
		broken = append(broken, fmt.Sprintf("only %d workers answered: they were not replaced", len(t.bodies)))
	}
	allowed := 0
	if c.kind.allowed != nil {
		allowed = c.kind.allowed(c, d.count)
		expected, statuses := t.failures["status 502"], "502"
		if c.asgi || c.kind.gatewayTimeouts {
			expected, statuses = expected+t.failures["status 504"], "502 or 504"
		}
		if other := t.failed() - expected; other > 0 {
			broken = append(broken, fmt.Sprintf("%d requests failed otherwise than with %s", other, statuses))
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

// firstLines passes on the first writes and drops the others.
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
