package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// disturbance is one kind of chaos: what is done to a server under load, and the
// rule that its load must keep. Every function may be nil.
type disturbance struct {
	name string
	// noun is what one act is called in the report, in the plural.
	noun string
	// every is the default time between two acts; 0: act is nil, the load itself
	// disturbs the server.
	every time.Duration
	// shape changes the site before servers start.
	shape func(c *chaos, s *site)
	// act disturbs the server once. It ends by itself within requestDeadline.
	act func(ctx context.Context, c *chaos, s *server) error
	// beside runs beside the load until ctx ends, for example as other clients.
	beside func(ctx context.Context, c *chaos, s *server) error
	// replaces says that the acts replace workers, so that more of them answer
	// than the pool has.
	replaces bool
	// allowed returns how many requests may fail, each with 502, after so many acts.
	allowed func(c *chaos, acts int) int
	// after checks, with the load gone and the server still running, what must
	// hold then, for example that nothing is left behind.
	after func(ctx context.Context, c *chaos, s *server) error
}

// disturbances returns every kind of chaos, in the order of the help.
func disturbances() []disturbance {
	return []disturbance{
		{name: "reload", noun: "reloads", every: 2 * time.Second, act: reloadOnce, replaces: true},
		{name: "storm", noun: "reloads", every: 200 * time.Millisecond, act: reloadOnce, beside: slowClients, replaces: true, after: nothingLeft},
		{name: "forty", noun: "deploys", every: time.Second, shape: fortyShape, act: deployOne, beside: allForty, after: fortyLeft},
		{name: "recycle", shape: recycleOften, replaces: true},
		{name: "kill", noun: "kills", every: 3 * time.Second, act: killOnce, replaces: true, allowed: heldByTheKilled},
	}
}

// disturbanceNamed returns the kind of that name.
func disturbanceNamed(name string) (disturbance, error) {
	all := disturbances()
	i := slices.IndexFunc(all, func(d disturbance) bool { return d.name == name })
	if i < 0 {
		return disturbance{}, fmt.Errorf("unknown kind %q; there are %s", name, disturbanceNames())
	}
	return all[i], nil
}

func disturbanceNames() string {
	return names(disturbances(), func(d disturbance) string { return d.name })
}

func reloadOnce(ctx context.Context, _ *chaos, s *server) error { return s.reload(ctx) }

func recycleOften(_ *chaos, s *site) { s.maxRequests = 100 }

// heldByTheKilled allows a failure for each request that a killed worker may have
// started.
func heldByTheKilled(c *chaos, kills int) int { return kills * c.threads }

// killOnce kills one ready worker at random, which must be a descendant of the
// server's: a pid read a moment ago may be another's by now.
func killOnce(ctx context.Context, c *chaos, s *server) error {
	pids, err := s.workers(ctx)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("no worker is ready")
	}
	pid := pids[c.random.IntN(len(pids))]
	tree, err := proc.tree(s.roots()...)
	if err != nil {
		return err
	}
	if !slices.Contains(tree, pid) || slices.Contains(s.roots(), pid) {
		return fmt.Errorf("cannot kill %d: it is not a worker of %s", pid, s.name)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}
