package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// report returns the results as Markdown, in aligned tables.
func (c *comparison) report(m machine, tables []table) string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n")
	fmt.Fprintf(&b, "Written by `go run ./cmd/bench`. Each figure is the median of %s of %v; in each round the servers "+
		"took turns. The load came from wrk with one thread, on the same machine; for handshakes, from a client of our own, as wrk "+
		"resumes its sessions. CPU is user and system time of all processes of the server. Memory was read right after the load.\n\n", plural(c.rounds, "round"), c.duration)
	b.WriteString(m.String())
	if len(c.missing) > 0 {
		fmt.Fprintf(&b, "\nNot installed: %s.\n", strings.Join(c.missing, ", "))
	}
	if rows := summary(tables); len(rows) > 1 {
		b.WriteString("\n## alicorn against the others\n\nEach figure is alicorn's divided by the other server's. " +
			"Rate is requests/s: above 1 alicorn is faster. CPU, p50 and p99: below 1 alicorn needs less.\n\n")
		writeAligned(&b, rows)
	}
	for _, name := range c.builds() {
		against(tables, name).write(&b)
	}
	for _, t := range tables {
		fmt.Fprintf(&b, "\n## %s, %s\n\n", t.title, plural(t.connections, "connection"))
		writeAligned(&b, t.cells())
	}
	if lines := failures(tables); len(lines) > 0 {
		fmt.Fprintf(&b, "\n## Failures\n\n- %s\n", strings.Join(lines, "\n- "))
	}
	return b.String()
}

// summary returns a row for each case, number of connections and server that alicorn is
// compared with.
func summary(tables []table) [][]string {
	rows := [][]string{{"case", "connections", "against", "rate", "CPU", "p50", "p99"}}
	for _, t := range tables {
		i := slices.IndexFunc(t.rows, func(s series) bool { return s.server == "alicorn" })
		if i < 0 {
			continue
		}
		own := t.rows[i]
		for _, base := range t.bases() {
			rows = append(rows, []string{t.title, fmt.Sprint(t.connections), base.server,
				ratio(own.rate(), base.rate()) + "x", ratio(own.cpu(), base.cpu()) + "x",
				ratio(own.p50(), base.p50()) + "x", ratio(own.p99(), base.p99()) + "x"})
		}
	}
	return rows
}

// bases returns the servers by whose results the others' are divided.
func (t table) bases() []series {
	return slices.DeleteFunc(slices.Clone(t.rows), func(s series) bool { return !slices.Contains(pairNames, s.server) })
}

// cells returns the table's header and rows. The ratios are requests/s, CPU and p99
// divided by those of nginx with each application server; for files, of nginx alone.
func (t table) cells() [][]string {
	bases := t.bases()
	header := []string{"server", "requests/s", "CPU µs/request", "p50", "p99", "memory", "errors"}
	for _, base := range bases {
		header = append(header, "rate / "+base.server, "CPU / "+base.server, "p99 / "+base.server)
	}
	cells := [][]string{header}
	for _, row := range t.rows {
		cells = append(cells, row.cells(bases))
	}
	return cells
}

func (s series) cells(bases []series) []string {
	var wrong int
	for _, sample := range s.samples {
		wrong += len(sample.errors)
	}
	cells := []string{
		s.server,
		fmt.Sprintf("%.0f", s.rate()),
		fmt.Sprintf("%.1f", s.cpu()),
		milliseconds(time.Duration(s.p50())),
		milliseconds(time.Duration(s.p99())),
		fmt.Sprintf("%d MiB %s", median(s.samples, func(s sample) int64 { return s.memory })>>20, s.samples[0].memoryBy),
		fmt.Sprint(wrong),
	}
	for _, base := range bases {
		cells = append(cells, ratio(s.rate(), base.rate()), ratio(s.cpu(), base.cpu()), ratio(s.p99(), base.p99()))
	}
	return cells
}

func (s series) rate() float64 {
	return median(s.samples, func(s sample) float64 { return s.rate })
}

func (s series) cpu() float64 {
	return median(s.samples, func(s sample) float64 { return s.cpu })
}

func (s series) p50() float64 {
	return float64(median(s.samples, func(s sample) time.Duration { return s.p50 }))
}

func (s series) p99() float64 {
	return float64(median(s.samples, func(s sample) time.Duration { return s.p99 }))
}

// ratio returns "-" if the base is too small to have been measured.
func ratio(value, base float64) string {
	if base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", value/base)
}

// milliseconds formats d with three significant digits.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// writeAligned writes a Markdown table with the first column aligned to the left and the
// numbers to the right.
func writeAligned(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString("| " + cell + padding + " |")
				continue
			}
			b.WriteString(" " + padding + cell + " |")
		}
		b.WriteByte('\n')
		if n == 0 {
			writeRule(b, widths)
		}
	}
}

func writeRule(b *strings.Builder, widths []int) {
	for i, width := range widths {
		if i == 0 {
			b.WriteString("|" + strings.Repeat("-", width+2) + "|")
			continue
		}
		b.WriteString(strings.Repeat("-", width+1) + ":|")
	}
	b.WriteByte('\n')
}
