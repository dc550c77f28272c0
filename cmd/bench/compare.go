package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparison is one run of the comparison.
type comparison struct {
	args        []string // of the command line, for the report
	rounds      int
	anew        bool          // servers are started anew in each round; see regression
	duration    time.Duration // of one measurement
	connections []int
	cases       []benchCase
	peers       []peer
	missing     []string // names of servers that are not installed
	site        *site
	progress    io.Writer
}

// sample is one measurement of one server.
type sample struct {
	rate     float64 // requests a second
	cpu      float64 // microseconds a request, over the server's process tree
	p50, p99 time.Duration
	memory   int64 // bytes, right after the load
	memoryBy string
	errors   []string
}

// driver makes requests for a while and reports the results.
type driver interface {
	run(ctx context.Context) (wrkResult, error)
}

// series is every sample of one server in one case at one number of connections.
type series struct {
	server  string
	samples []sample
}

// table holds the servers' series of one case at one number of connections.
type table struct {
	title       string
	connections int
	rows        []series
}

// runCompare measures all servers side by side and prints a table per case.
func runCompare(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 0, "`number` of measurements of each server; the median counts (default 5; 15 with NAME=PATH)")
	duration := flags.Duration("duration", 0, "how long one measurement takes, in whole seconds (default 4s; 1s with NAME=PATH)")
	caseList := flags.String("cases", "", "`names` of cases, separated by commas; \"proxy-*\" is every case whose name begins like that (default all)")
	serverList := flags.String("servers", "", "`names` of servers, separated by commas (default all that are installed);\n"+
		"NAME=PATH is an earlier build of alicorn, at PATH: this module's must not be slower than the rule of builds allows")
	connections := flags.String("connections", "1,32,512", "`numbers` of connections, separated by commas")
	write := flags.Bool("write", false, "write cmd/bench/RESULTS.md")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	c := &comparison{args: args, rounds: *rounds, duration: *duration, progress: os.Stderr}
	if c.cases, err = chooseCases(*caseList); err != nil {
		return err
	}
	if c.connections, err = parseNumbers(*connections); err != nil {
		return err
	}
	if _, err := program("wrk"); err != nil {
		return errors.New("cannot find wrk; deploy/test.sh installs it")
	}
	if c.site, err = newSite(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.site.dir)) }()
	if c.peers, c.missing, err = choosePeers(newAlicorn(c.site.dir), *serverList); err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	machine, err := describe(c.peers, c.cases)
	if err != nil {
		return err
	}
	tables, err := c.run(ctx)
	if err != nil {
		return err
	}
	return c.finish(machine, tables, *write)
}

// complete sets the defaults of the rounds and their duration, and checks both. The rule
// of builds needs many rounds, so they are short: a run of all cases takes half an hour.
func (c *comparison) complete() error {
	rounds, duration := 5, 4*time.Second
	if len(c.builds()) > 0 {
		rounds, duration = ruleRounds, time.Second
	}
	if c.rounds == 0 {
		c.rounds = rounds
	}
	if c.duration == 0 {
		c.duration = duration
	}
	if len(c.builds()) > 0 {
		c.anew = true
	}
	if c.rounds < 1 || c.duration < time.Second {
		return errors.New("-rounds must be at least 1 and -duration at least 1s")
	}
	return nil
}

// builds returns the names of the earlier builds of alicorn that take part.
func (c *comparison) builds() (names []string) {
	for _, p := range c.peers {
		if p.build && p.name != "alicorn" {
			names = append(names, p.name)
		}
	}
	return names
}

// finish prints the report and returns an error if any request failed.
func (c *comparison) finish(machine machine, tables []table, write bool) error {
	report := c.report(machine, tables)
	if _, err := io.WriteString(os.Stdout, report); err != nil {
		return err
	}
	if write {
		path, err := resultsFile()
		if err != nil {
			return err
		}
		before, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(rewritten(string(before), report)), 0o644); err != nil {
			return err
		}
	}
	if failures := failures(tables); len(failures) > 0 {
		return fmt.Errorf("requests failed:\n%s", strings.Join(failures, "\n"))
	}
	var broken []error
	for _, name := range c.builds() {
		broken = append(broken, against(tables, name).broken())
	}
	return errors.Join(broken...)
}

// run measures the cases in groups. The cases of a group have the same application, the
// same backend, or neither, and the same servers run for all of them.
func (c *comparison) run(ctx context.Context) ([]table, error) {
	var groups [][]benchCase
	for _, bc := range c.cases {
		i := slices.IndexFunc(groups, func(g []benchCase) bool { return g[0].sharesServers(bc) })
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], bc)
	}
	var tables []table
	for _, group := range groups {
		groupTables, err := c.runGroup(ctx, group)
		if err != nil {
			return nil, err
		}
		tables = append(tables, groupTables...)
	}
	return tables, nil
}

func (c *comparison) runGroup(ctx context.Context, group []benchCase) (tables []table, err error) {
	site := *c.site
	if app := group[0].app; app != "" {
		site.app, site.asgi = app, group[0].asgi
	}
	if group[0].tls {
		if site.tls, err = newIdentity(site.dir); err != nil {
			return nil, err
		}
	}
	if name := group[0].backend; name != "" {
		stop, err := site.startBackend(name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	for _, bc := range group {
		for _, connections := range c.connections {
			tables = append(tables, table{title: bc.title, connections: connections})
		}
	}
	for first := 0; first < c.rounds; {
		end := c.rounds
		if c.anew {
			end = first + 1
		}
		if err := c.runInstance(ctx, &site, group, tables, first, end); err != nil {
			return nil, err
		}
		first = end
	}
	return tables, nil
}

// runInstance starts all servers, measures the rounds from first to end, and stops
// the servers. It adds the measurements to tables.
func (c *comparison) runInstance(ctx context.Context, site *site, group []benchCase, tables []table, first, end int) (err error) {
	var servers []*server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, p := range c.peers {
		if !p.serves(group[0]) {
			continue
		}
		s, err := p.start(site)
		if err != nil {
			return err
		}
		servers = append(servers, s)
		if err := s.ready(ctx, group[0]); err != nil {
			return err
		}
	}
	for i, bc := range group {
		n := len(c.connections)
		if err := c.runCase(ctx, bc, servers, tables[i*n:(i+1)*n], first, end); err != nil {
			return err
		}
	}
	return nil
}

// runCase checks an answer of every server, warms each up, and then measures.
func (c *comparison) runCase(ctx context.Context, bc benchCase, servers []*server, tables []table, first, end int) error {
	for _, s := range servers {
		if err := s.check(ctx, bc); err != nil {
			return err
		}
		if _, err := c.load(bc, s, 8, time.Second).run(ctx); err != nil {
			return err
		}
	}
	for i := range tables {
		t := &tables[i]
		if t.rows == nil {
			t.rows = make([]series, len(servers))
		}
		for round := first; round < end; round++ {
			for _, i := range turns(round, len(servers)) {
				s := servers[i]
				sample, err := measure(ctx, s, c.load(bc, s, t.connections, c.duration))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, bc.title, err)
				}
				t.rows[i].server = s.name
				t.rows[i].samples = append(t.rows[i].samples, sample)
				fmt.Fprintf(c.progress, "%s, %d connections, round %d: %s %.0f/s\n",
					bc.title, t.connections, round+1, s.name, sample.rate)
			}
		}
	}
	return nil
}

// turns returns the order in which n servers are measured in a round: that of the list,
// and in every second round the reverse, so that none always follows the same other.
func turns(round, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

func (c *comparison) load(bc benchCase, s *server, connections int, duration time.Duration) driver {
	if bc.socket {
		return echoes{addr: s.addr, path: bc.path, connections: connections, duration: duration}
	}
	if bc.fresh {
		return handshakes{addr: s.addr, path: bc.path, want: bc.want(), connections: connections, duration: duration}
	}
	l := load{url: s.url(bc.path), connections: connections, duration: duration}
	if bc.script != "" {
		l.script = filepath.Join(c.site.appDir(), bc.script)
	}
	return l
}

// measure runs the load, and reads how much CPU time and memory the server's processes
// have used.
func measure(ctx context.Context, s *server, l driver) (sample, error) {
	before, err := s.usage()
	if err != nil {
		return sample{}, err
	}
	r, err := l.run(ctx)
	if err != nil {
		return sample{}, err
	}
	after, err := s.usage()
	if err != nil {
		return sample{}, err
	}
	if r.requests == 0 {
		return sample{}, fmt.Errorf("no request was answered: %s", strings.Join(r.errors, ", "))
	}
	cpu := float64((after.cpu - before.cpu).Microseconds()) / float64(r.requests)
	return sample{rate: r.rate, cpu: cpu, p50: r.p50, p99: r.p99,
		memory: after.memory, memoryBy: after.memoryBy, errors: r.errors}, nil
}

// failures returns a line for each measurement with errors.
func failures(tables []table) []string {
	var lines []string
	for _, t := range tables {
		for _, row := range t.rows {
			for _, s := range row.samples {
				if len(s.errors) > 0 {
					lines = append(lines, fmt.Sprintf("%s, %d connections, %s: %s",
						t.title, t.connections, row.server, strings.Join(s.errors, ", ")))
				}
			}
		}
	}
	return lines
}

// median returns the median of the samples' values that pick returns.
func median[T int64 | float64 | time.Duration](samples []sample, pick func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = pick(s)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func parseNumbers(list string) ([]int, error) {
	var numbers []int
	for _, field := range fields(list) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of connections", field)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 {
		return nil, errors.New("-connections names no number")
	}
	return numbers, nil
}

// otherModes is the heading in RESULTS.md above the results of other modes.
const otherModes = "\n# Other modes\n"

// rewritten returns RESULTS.md with the new report, and the results of other modes as
// they were before.
func rewritten(before, report string) string {
	if i := strings.Index(before, otherModes); i >= 0 {
		return report + before[i:]
	}
	return report
}

// resultsFile returns the path of RESULTS.md in the module's checkout.
func resultsFile() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "alicorn").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module's directory: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "cmd", "bench", "RESULTS.md"), nil
}
