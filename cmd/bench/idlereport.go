package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// idleMemory is how much more memory than in an earlier build a connection that
// waits may take. Heaps of the same program differ by up to 6 % where few wait.
const idleMemory = 1.10

// report adds a table of the servers beside one crowd, and compares alicorn with the
// earlier builds among them.
func (i *idle) report(b *strings.Builder, peers []peer, connections int, all []idleSeries) error {
	way := "in the clear"
	if i.secure {
		way = "by TLS"
	}
	fmt.Fprintf(b, "\n## %d %s that wait, %s, and %d that ask: median of %s\n\n", connections, i.kind.name, way, i.active, plural(i.rounds, "round"))
	rows := [][]string{{"server", "MiB PSS before", "KiB RSS each", "KiB PSS each", "requests/s", "CPU µs/request", "p99"}}
	for _, s := range all {
		loads := s.loads()
		rows = append(rows, []string{s.server, fmt.Sprintf("%.1f", s.front()/(1<<20)), fmt.Sprintf("%.2f", s.rss()/1024), fmt.Sprintf("%.2f", s.pss()/1024),
			fmt.Sprintf("%.0f", loads.rate()), fmt.Sprintf("%.1f", loads.cpu()), fmt.Sprintf("%.2f ms", loads.p99()/1e6)})
	}
	writeAligned(b, rows)
	var broken []error
	for _, p := range peers {
		if p.build {
			broken = append(broken, i.compare(b, connections, all, p.name))
		}
	}
	return errors.Join(broken...)
}

// compare holds alicorn against the named build: memory by its own bound, rate and CPU
// by the rule of builds.
func (i *idle) compare(b *strings.Builder, connections int, all []idleSeries, name string) error {
	of := func(server string) idleSeries {
		n := slices.IndexFunc(all, func(s idleSeries) bool { return s.server == server })
		return all[n]
	}
	own, before := of("alicorn"), of(name)
	t := table{title: fmt.Sprintf("%d %s that wait", connections, i.kind.name), connections: i.active, rows: []series{own.loads(), before.loads()}}
	r := against([]table{t}, name)
	memory := own.rss() / before.rss()
	fmt.Fprintf(b, "\nalicorn over %s: memory %.3f, rate %.3f, CPU %.3f\n", name, memory, r.cells[0].bounded().rate, r.cells[0].bounded().cpu)
	err := r.broken()
	if memory > idleMemory {
		err = errors.Join(err, fmt.Errorf("%w against %s: each of %d connections takes %.2f KiB, %.3f of %.2f KiB before",
			errBroken, name, connections, own.rss()/1024, memory, before.rss()/1024))
	}
	return err
}

// front, rss and pss are medians of what samples have, in bytes.
func (s idleSeries) front() float64 { return s.middle(func(m idleSample) float64 { return m.front }) }
func (s idleSeries) rss() float64   { return s.middle(func(m idleSample) float64 { return m.rss }) }
func (s idleSeries) pss() float64   { return s.middle(func(m idleSample) float64 { return m.pss }) }

func (s idleSeries) middle(pick func(idleSample) float64) float64 {
	values := make([]float64, len(s.samples))
	for i, m := range s.samples {
		values[i] = pick(m)
	}
	return quantile(values, 0.5)
}

// loads are the samples of the active connections.
func (s idleSeries) loads() series {
	loads := series{server: s.server}
	for _, m := range s.samples {
		loads.samples = append(loads.samples, m.load)
	}
	return loads
}
