package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The rule of builds bounds the rates of alicorn, divided by those of an earlier build.
const (
	ruleRounds = 15   // how many rounds a verdict needs
	ruleMean   = 0.98 // the lowest geometric mean over all cases
	ruleCase   = 0.93 // the lowest rate of one case
)

// regression compares alicorn with an earlier build. Both ran in each round, one
// right after the other. The figures of a round are divided, and then the median over
// rounds is taken, so that noise of the machine that lasts longer than a round cancels
// out. Every server is started anew in each round, because two processes of the same
// program differ by up to a fifth for as long as they run, depending on the addresses of
// their memory: with five processes of each, equal programs broke the rule in one case
// of ten.
type regression struct {
	name  string // of the earlier build
	cells []cell
}

// cell is one case at one number of connections.
type cell struct {
	title       string
	connections int
	rates       []float64 // alicorn's divided by the build's, a value for each round
	cpu         []float64 // the same for the CPU time of a request
}

// against returns the comparison of alicorn with the named build.
func against(tables []table, name string) regression {
	r := regression{name: name}
	for _, t := range tables {
		own, other := t.row("alicorn"), t.row(name)
		if own == nil || other == nil {
			continue
		}
		c := cell{title: t.title, connections: t.connections}
		for i, s := range own.samples {
			before := other.samples[i]
			c.rates = append(c.rates, s.rate/before.rate)
			if before.cpu > 0 {
				c.cpu = append(c.cpu, s.cpu/before.cpu)
			}
		}
		r.cells = append(r.cells, c)
	}
	return r
}

func (t table) row(server string) *series {
	if i := slices.IndexFunc(t.rows, func(s series) bool { return s.server == server }); i >= 0 {
		return &t.rows[i]
	}
	return nil
}

// bounded is a ratio of rates, and the figures that decide whether it is high enough.
type bounded struct {
	rate  float64 // median over rounds
	noise float64 // interquartile range divided by the median
	cpu   float64 // median over rounds; NaN: it is too little to be measured
	bound float64 // lowest rate
}

// held reports whether the bound holds, and which measure has decided. If the rate is
// below the bound, but by less than the noise, CPU time decides: it must not be above
// the bound's inverse.
func (b bounded) held() (ok bool, by string) {
	switch {
	case b.rate >= b.bound:
		return true, "rate"
	case b.bound-b.rate < b.noise*b.rate && !math.IsNaN(b.cpu):
		return b.cpu <= 1/b.bound, "CPU"
	}
	return false, "rate"
}

// verdict returns the words of the report.
func (b bounded) verdict() string {
	ok, by := b.held()
	if ok {
		return "holds by " + by
	}
	return "FAILS by " + by
}

func (c cell) bounded() bounded {
	return bounded{rate: quantile(c.rates, 0.5), noise: spread(c.rates), cpu: quantile(c.cpu, 0.5), bound: ruleCase}
}

// mean returns the geometric mean over all cases. Its noise is the noise of the rounds'
// means.
func (r regression) mean() bounded {
	var rates, cpu []float64
	var rounds [][]float64
	for _, c := range r.cells {
		b := c.bounded()
		rates = append(rates, b.rate)
		if !math.IsNaN(b.cpu) {
			cpu = append(cpu, b.cpu)
		}
		for i, rate := range c.rates {
			if i == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[i] = append(rounds[i], rate)
		}
	}
	means := make([]float64, len(rounds))
	for i, round := range rounds {
		means[i] = geometricMean(round)
	}
	return bounded{rate: geometricMean(rates), noise: spread(means), cpu: geometricMean(cpu), bound: ruleMean}
}

// broken returns nil if the rule holds.
func (r regression) broken() error {
	var lines []string
	if mean := r.mean(); len(r.cells) > 0 {
		if ok, by := mean.held(); !ok {
			lines = append(lines, fmt.Sprintf("the geometric mean is %.3f by rate and %.3f by CPU, decided by %s", mean.rate, mean.cpu, by))
		}
	}
	for _, c := range r.cells {
		b := c.bounded()
		if ok, by := b.held(); !ok {
			lines = append(lines, fmt.Sprintf("%s, %s: %.3f by rate and %.3f by CPU, decided by %s",
				c.title, plural(c.connections, "connection"), b.rate, b.cpu, by))
		}
	}
	if len(lines) > 0 {
		return fmt.Errorf("%w against %s: %s", errBroken, r.name, strings.Join(lines, "; "))
	}
	return nil
}

// write adds the comparison to the report.
func (r regression) write(b *strings.Builder) {
	if len(r.cells) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## alicorn against %s\n\n", r.name)
	fmt.Fprintf(b, "Requests/s and CPU divided by those of %s in the same round, median of %s. Noise is the interquartile range "+
		"divided by the median. The rule: the geometric mean is at least %.2f, and no case is below %.2f. If a rate is below its bound, "+
		"but by less than its noise, CPU decides: it must not be above the bound's inverse.\n\n",
		r.name, plural(len(r.cells[0].rates), "round"), ruleMean, ruleCase)
	rows := [][]string{{"case", "connections", "rate", "noise", "CPU", "verdict"}}
	lowest := r.cells[0]
	for _, c := range r.cells {
		rows = append(rows, append([]string{c.title, fmt.Sprint(c.connections)}, c.bounded().columns()...))
		if c.bounded().rate < lowest.bounded().rate {
			lowest = c
		}
	}
	rows = append(rows, append([]string{"geometric mean", ""}, r.mean().columns()...))
	writeAligned(b, rows)
	fmt.Fprintf(b, "\nLowest: %.3f (%s, %s). ", lowest.bounded().rate, lowest.title, plural(lowest.connections, "connection"))
	if rounds := len(lowest.rates); rounds < ruleRounds {
		fmt.Fprintf(b, "Only %s: the rule needs %d. ", plural(rounds, "round"), ruleRounds)
	}
	if err := r.broken(); err != nil {
		fmt.Fprintf(b, "**Fails**: %v.\n", err)
		return
	}
	b.WriteString("**Holds.**\n")
}

func (b bounded) columns() []string {
	cpu := "-"
	if !math.IsNaN(b.cpu) {
		cpu = fmt.Sprintf("%.3f", b.cpu)
	}
	return []string{fmt.Sprintf("%.3f", b.rate), fmt.Sprintf("%.1f%%", 100*b.noise), cpu, b.verdict()}
}

// spread returns the interquartile range divided by the median.
func spread(values []float64) float64 {
	return (quantile(values, 0.75) - quantile(values, 0.25)) / quantile(values, 0.5)
}

// quantile returns the value that a share q of the values does not exceed, interpolated
// between two values; NaN if there are none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// geometricMean returns NaN for no values.
func geometricMean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}
