package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// disturbance is one kind of chaos: the acts that disturb a server under load, and the
// rule for its requests. Every function may be nil.
type disturbance struct {
	name string
	// noun is the plural noun for the acts in the report.
	noun string
	// every is the default time from one act to the next; 0: act is nil, as the load
	// itself disturbs the server.
	every time.Duration
	// acts is the default of how many acts there must be; 0: one.
	acts int
	// passesOn says that servers pass requests on to backends, which are disturbed.
	passesOn bool
	// shape changes the site before servers start.
	shape func(c *chaos, s *site) error
	// act disturbs the server once. It ends with ctx, within actDeadline.
	act func(ctx context.Context, c *chaos, s *server) error
	// beside runs beside the load until ctx ends, for example as other clients.
	beside func(ctx context.Context, c *chaos, s *server) error
	// pause is how long each connection of the load waits between two requests.
	pause time.Duration
	// replaces says that the acts replace workers, so that more workers answer than the
	// pool has.
	replaces bool
	// enough reports whether all has happened that the kind needs besides acts. The
	// load goes on until then.
	enough func(c *chaos) bool
	// others returns how many workers there are besides the pool's.
	others func(c *chaos) int
	// allowed returns how many requests may fail, each with 502, after so many acts.
	allowed func(c *chaos, acts int) int
	// gatewayTimeouts says that they may fail with 504, too.
	gatewayTimeouts bool
	// asgi says whether the application may be an ASGI one, with a mixture of clients
	// beside the load, or must be.
	asgi interfaces
	// killsWorkers says that workers die, with all that they hold.
	killsWorkers bool
	// after checks more rules of the kind after the load, while the server still runs.
	after func(ctx context.Context, c *chaos, s *server) error
}

// interfaces says which applications a kind can disturb.
type interfaces int

const (
	wsgiAlone interfaces = iota
	wsgiOrASGI
	asgiAlone
)

// disturbances returns every kind of chaos, in the order of the help.
func disturbances() []disturbance {
	return []disturbance{
		{name: "reload", noun: "reloads", every: 2 * time.Second, act: reloadOnce, replaces: true, asgi: wsgiOrASGI},
		{name: "storm", noun: "reloads", every: 200 * time.Millisecond, act: reloadOnce, beside: slowClients, replaces: true},
		{name: "forty", noun: "deploys", every: time.Second, pause: fortyPause, shape: fortyShape, act: deployOne, beside: allForty, others: fortyWorkers, after: hostsInTime},
		{name: "upgrade", noun: "upgrades", every: 3 * time.Second, acts: 20, shape: upgradeShape, act: upgradeOnce, replaces: true, after: earlierGone},
		{name: "descriptors", noun: "signals", every: 500 * time.Millisecond, acts: 2, shape: descriptorsShape, act: signalScarce, beside: crowdIn, enough: crowded},
		{name: "recycle", shape: recycleOften, replaces: true, asgi: wsgiOrASGI},
		{name: "backends", noun: "backends harmed", every: 2 * time.Second, acts: 3, passesOn: true, shape: backendsShape, act: disturbBackend, beside: besideBackends, replaces: true},
		{name: "outage", noun: "outages", every: 2 * time.Second, acts: 2, passesOn: true, shape: backendsShape, act: outageOnce, replaces: true, allowed: anyFail, gatewayTimeouts: true, pause: 5 * time.Millisecond},
		{name: "kill", noun: "kills", every: 3 * time.Second, act: killOnce, replaces: true, allowed: heldByTheKilled, asgi: wsgiOrASGI, killsWorkers: true},
		{name: "stop", noun: "stops", every: 4 * time.Second, act: stopOnce, replaces: true, allowed: heldByTheKilled, asgi: asgiAlone, killsWorkers: true},
		{name: "stall", noun: "stalls", every: 4 * time.Second, act: stallOnce, replaces: true, allowed: heldByTheKilled, asgi: asgiAlone, killsWorkers: true},
		{name: "leave", asgi: asgiAlone},
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

func recycleOften(_ *chaos, s *site) error {
	s.maxRequests = 100
	return nil
}

// heldByTheKilled allows one failure for each request that a killed worker may have
// started.
func heldByTheKilled(c *chaos, kills int) int {
	if c.asgi {
		return kills * c.connections
	}
	return kills * c.threads
}

// killOnce kills one ready worker at random.
func killOnce(ctx context.Context, c *chaos, s *server) error {
	pid, err := c.victim(ctx, s)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// victim returns one ready worker at random. It waits until one is ready: those
// that were killed before are being replaced.
func (c *chaos) victim(ctx context.Context, s *server) (pid int, err error) {
	for {
		pids, err := s.living(ctx)
		if err != nil {
			return 0, err
		}
		if len(pids) > 0 {
			return pids[c.random.IntN(len(pids))], nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return 0, errors.New("no worker is ready")
		}
	}
}

// stopOnce stops one ready worker at random, and waits until the server has ended it.
func stopOnce(ctx context.Context, c *chaos, s *server) error {
	pid, err := c.victim(ctx, s)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for !proc.ended(pid) {
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("worker %d was stopped and is still there", pid)
		}
	}
	return nil
}

// stallOnce makes a request that stops its worker's event loop for a minute. The server
// must end it earlier.
func stallOnce(ctx context.Context, _ *chaos, s *server) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/block?60"), nil)
	if err != nil {
		return err
	}
	status, body, err := oneAnswer(request)
	if err != nil || status < 500 {
		return fmt.Errorf("a request that blocks had status %d with %.60q, %v", status, body, err)
	}
	return nil
}

// living returns the pids of ready workers that are still descendants of the server: a
// pid that was read a moment ago may be another process's by now.
func (s *server) living(ctx context.Context) ([]int, error) {
	pids, err := s.workers(ctx)
	if err != nil {
		return nil, err
	}
	tree, err := proc.tree(s.roots()...)
	return slices.DeleteFunc(pids, func(pid int) bool {
		return !slices.Contains(tree, pid) || slices.Contains(s.roots(), pid) || proc.ended(pid)
	}), err
}
