package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// idle is one run of the mode idle, which measures how much memory of the front idle
// connections cost, and how they slow down a few others that make requests.
type idle struct {
	kind     idleKind
	crowds   []int // how many connections wait
	rounds   int   // each with a server of its own, whose median counts
	active   int   // connections beside, that make requests
	duration time.Duration
	settle   time.Duration
	load     benchCase // what the active connections ask for
	secure   bool
	limit    int64 // bytes of alicorn's front before the crowd comes
	most     int64 // and beside it; 0: any
}

// idleSample is one measurement of one server.
type idleSample struct {
	front    float64 // bytes (PSS) of the front before the crowd came
	rss, pss float64 // bytes for each connection that waits
	load     sample  // of the active connections
}

// idleSeries is every sample of one server beside one crowd.
type idleSeries struct {
	server  string
	samples []idleSample
}

// runIdle measures what idle connections cost.
func runIdle(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("idle", flag.ContinueOnError)
	var i idle
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas; NAME=PATH is an earlier build of alicorn, at PATH:\n"+
		"this module's may cost no more")
	kind := flags.String("kind", "connections", "the `kind` of what idles: "+names(idleKinds(), func(k idleKind) string { return k.name }))
	crowds := flags.String("connections", "", "`numbers` of idle connections that are open at once, separated by commas (default: that of the kind, such as 20000)")
	flags.IntVar(&i.rounds, "rounds", 1, "`number` of measurements of each server; the median counts")
	flags.IntVar(&i.active, "active", 32, "`number` of other connections, which make requests")
	flags.DurationVar(&i.duration, "duration", 4*time.Second, "how long they make requests, in whole seconds")
	flags.DurationVar(&i.settle, "settle", 5*time.Second, "how long to wait before memory is read")
	path := flags.String("path", "", "`path` that each connection asks for, an idle one once (default: that of the kind)")
	flags.BoolVar(&i.secure, "tls", false, "use https")
	limit := flags.Int64("limit", 30, "`MiB` (PSS) that alicorn's front may hold before the connections")
	most := flags.Int64("most", -1, "`MiB` (PSS) that alicorn's front may hold with them; 0: any (default: that of the kind, if there are no more connections than by default)")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	var err error
	if i.kind, err = idleKindNamed(*kind); err != nil {
		return err
	}
	if i.load, err = caseNamed(i.kind.load); err != nil {
		return err
	}
	if *path != "" {
		i.kind.path = *path
		if !i.kind.asgi {
			i.load.path = *path
		}
	}
	if *crowds == "" {
		*crowds = strconv.Itoa(i.kind.crowd)
	}
	if i.crowds, err = parseNumbers(*crowds); err != nil {
		return err
	}
	if *most < 0 {
		*most = i.kind.most
	}
	if i.rounds < 1 || i.active < 1 || i.duration < time.Second || i.settle+i.duration >= time.Minute {
		return errors.New("-rounds and -active must be at least 1, -duration at least 1s, and -settle with it below a minute: servers keep connections for 75s")
	}
	i.limit, i.most = *limit<<20, *most<<20
	if err := i.fit(); err != nil {
		return err
	}
	return i.run(ctx, *serverList)
}

// spareDescriptors are left for all but connections that wait, in this process and
// the servers'.
const spareDescriptors = 500

// fit raises this process's limit of descriptors, which servers inherit, and opens
// fewer connections where the system does not allow enough.
func (i *idle) fit() error {
	for n, connections := range i.crowds {
		allowed, err := raiseDescriptors(uint64(connections + i.active + spareDescriptors))
		if err != nil {
			return err
		}
		if room := int(allowed) - spareDescriptors - i.active; room < connections {
			fmt.Printf("a process may have %d descriptors: %d connections instead of %d\n", allowed, room, connections)
			i.crowds[n] = room
		}
	}
	return nil
}

// run measures every server beside every crowd, and prints the medians.
func (i *idle) run(ctx context.Context, serverList string) (err error) {
	site, err := newSite()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(site.dir)) }()
	if i.secure {
		if site.tls, err = newIdentity(site.dir); err != nil {
			return err
		}
	}
	peers, _, err := choosePeers(newAlicorn(site.dir), serverList)
	if err != nil {
		return err
	}
	if i.kind.asgi {
		site.app, site.asgi, site.streams = asgiApp, true, slices.Max(i.crowds)+i.active
	}
	var report strings.Builder
	var broken []error
	for _, connections := range i.crowds {
		site.connections = 2*(connections+i.active) + spareDescriptors // a proxy has two for each
		all, err := i.measureAll(ctx, site, peers, connections)
		if err != nil {
			return err
		}
		broken = append(broken, i.report(&report, peers, connections, all))
	}
	fmt.Print(report.String())
	return errors.Join(broken...)
}

// measureAll measures the peers in turns, each time anew.
func (i *idle) measureAll(ctx context.Context, site *site, peers []peer, connections int) ([]idleSeries, error) {
	all := make([]idleSeries, len(peers))
	for round := range i.rounds {
		for _, n := range turns(round, len(peers)) {
			s, err := peers[n].start(site)
			if err != nil {
				return nil, err
			}
			var measured idleSample
			if err = s.ready(ctx, i.load); err == nil {
				measured, err = i.measure(ctx, s, connections)
			}
			if err = errors.Join(err, s.stop()); err != nil {
				return nil, err
			}
			all[n].server = peers[n].name
			all[n].samples = append(all[n].samples, measured)
		}
	}
	return all, nil
}

// measure prints what the front holds before, with and after a crowd.
func (i *idle) measure(ctx context.Context, s *server, connections int) (m idleSample, err error) {
	before, err := i.holdings(ctx, s, "before")
	if err != nil {
		return m, err
	}
	c := waiters{idleKind: i.kind, addr: s.addr, trust: s.tls}
	defer c.close()
	if err := c.open(ctx, connections); err != nil {
		return m, err
	}
	with, err := i.holdings(ctx, s, fmt.Sprintf("with %d", connections))
	if err != nil {
		return m, err
	}
	m.front = float64(before.pss)
	m.rss, m.pss = float64(with.rss-before.rss)/float64(connections), float64(with.pss-before.pss)/float64(connections)
	if m.load, err = measure(ctx, s, load{url: s.url(i.load.path), connections: i.active, duration: i.duration}); err != nil {
		return m, err
	}
	if len(m.load.errors) > 0 {
		return m, fmt.Errorf("%w: %s beside %d connections: %s", errBroken, s.name, connections, strings.Join(m.load.errors, ", "))
	}
	if err := c.stillServed(); err != nil {
		return m, fmt.Errorf("%w: %w", errBroken, err)
	}
	c.close()
	if _, err := i.holdings(ctx, s, "after"); err != nil {
		return m, err
	}
	if s.name == "alicorn" && before.pss > i.limit {
		return m, fmt.Errorf("%w: the front holds %s, limit %s", errBroken, mebibytes(before.pss), mebibytes(i.limit))
	}
	if s.name == "alicorn" && i.most > 0 && with.pss > i.most {
		return m, fmt.Errorf("%w: the front holds %s beside %d %s, limit %s", errBroken, mebibytes(with.pss), connections, i.kind.name, mebibytes(i.most))
	}
	return m, nil
}

// holdings waits, and prints what the front holds then.
func (i *idle) holdings(ctx context.Context, s *server, when string) (holdings, error) {
	select {
	case <-ctx.Done():
		return holdings{}, ctx.Err()
	case <-time.After(i.settle):
	}
	pids, err := s.front()
	if err != nil {
		return holdings{}, err
	}
	h, err := proc.holdings(pids...)
	if err == nil {
		fmt.Printf("%-15s %-12s %v\n", s.name, when, h)
	}
	return h, err
}
