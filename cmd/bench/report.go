package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// introduction says what is compared, how, and what a ratio means. %[1]s are the cases,
// %[2]s the rounds, %[3]v the duration of one, %[4]s the arguments of this run.
const introduction = `# Benchmarks

alicorn beside the servers that it replaces, on one machine, with the same files, applications and backends.

**Cases.** %[1]s.

**Servers.** nginx alone serves files and passes requests on, to a gunicorn, to an origin that costs next to nothing, or by the gateway
protocols to a uWSGI. In front of gunicorn, uWSGI or uvicorn it serves applications; some ASGI servers also run alone. nginx has the
configuration that its tutorials and tuning guides recommend: a worker for each core, kept connections, cached descriptors, no access log.
alicorn has the same directives where it has them (cmd/bench/nginx.go, cmd/bench/alicorn.go). Every application server has 2 workers. daphne
has 1.

**Load.** wrk, with one thread, on the same machine; it keeps its connections. TLS handshakes and WebSocket messages come from a client of
bench, because wrk resumes TLS sessions and has no WebSockets. Before a case, bench compares an answer of each server with the right one.

**Figures.** Each is the median of %[2]s of %[3]v. In each round all servers take turns, in every second one in reverse order. A request is
a WebSocket message where the case is one of WebSockets. CPU is user and system time of all processes of the server, divided by the
requests; a backend is not counted. Memory is read right after the load: PSS, in which a page that n processes share counts 1/n for each, or
RSS where PSS cannot be read. Errors are lines of wrk about failed requests, in all rounds.

**Ratios.** "rate / nginx" is the server's rate divided by nginx's in the same case: above 1 it is faster. For CPU, p50 and p99, below 1 it
needs less. Ratios of the same run can be compared; figures of different machines cannot.

**Again.** deploy/test.sh installs what is needed. ` + "`go run ./cmd/bench -write`" + ` writes this file anew, except "Other modes";
` + "`go run ./cmd/bench -cases hello -connections 32`" + ` prints one case. This run: ` + "`go run ./cmd/bench%[4]s`" + `.

## Machine and versions

`

// report returns the results as Markdown, in aligned tables.
func (c *comparison) report(m machine, tables []table) string {
	var b strings.Builder
	var arguments string
	for _, arg := range c.args {
		if strings.ContainsAny(arg, "*?[ ") {
			arg = "'" + arg + "'" // from the shell
		}
		arguments += " " + arg
	}
	fmt.Fprintf(&b, introduction, kindsOf(c.cases), plural(c.rounds, "round"), c.duration, arguments)
	b.WriteString(m.String())
	if len(c.missing) > 0 {
		fmt.Fprintf(&b, "\nNot installed: %s.\n", strings.Join(c.missing, ", "))
	}
	if rows := summary(tables); len(rows) > 1 {
		b.WriteString("\n## alicorn against the others\n\nalicorn's figures divided by the other server's. " +
			"Rate: above 1 alicorn is faster. CPU, p50 and p99: below 1 alicorn needs less.\n\n")
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

// kindsOf lists the cases by their kinds, in the order in which they come.
func kindsOf(cases []benchCase) string {
	var kinds []string
	titles := map[string][]string{}
	for _, c := range cases {
		kind := c.kind()
		if titles[kind] == nil {
			kinds = append(kinds, kind)
		}
		titles[kind] = append(titles[kind], c.title)
	}
	for i, kind := range kinds {
		kinds[i] = kind + " (" + strings.Join(titles[kind], "; ") + ")"
	}
	return strings.Join(kinds, ", ")
}

// summary returns a row for each case, each number of connections and each server that
// alicorn is compared with.
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

// bases returns the results by which those of all servers are divided.
func (t table) bases() []series {
	return slices.DeleteFunc(slices.Clone(t.rows), func(s series) bool { return !slices.Contains(pairNames, s.server) })
}

// cells returns the table's header and rows. The ratios are requests/s, CPU and p99
// divided by those of each base.
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
