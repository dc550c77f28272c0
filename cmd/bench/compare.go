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

// comparison is what one run measures, and with what.
type comparison struct {
	rounds      int
	anew        bool          // every server is started anew in each round, see regression
	duration    time.Duration // of one measurement
	connections []int
	cases       []benchCase
	peers       []peer
	missing     []string // peers that are not installed
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

// driver makes requests for a while and reports what came of them.
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
	rounds := flags.Int("rounds", 0, "measurements of each server, whose median counts (default 5; 15 with NAME=PATH)")
	duration := flags.Duration("duration", 0, "of one measurement, in whole seconds (default 4s; 1s with NAME=PATH)")
	caseList := flags.String("cases", "", "cases by name, separated by commas; \"proxy-*\" stands for all of such names (default all)")
	serverList := flags.String("servers", "", "servers by name, separated by commas (default all installed);\n"+
		"NAME=PATH is the alicorn at PATH, against which the rule of builds judges this module's")
	connections := flags.String("connections", "1,32,512", "numbers of connections, separated by commas")
	write := flags.Bool("write", false, "write cmd/bench/RESULTS.md")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	c := &comparison{rounds: *rounds, duration: *duration, progress: os.Stderr}
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
	machine, err := describe(c.peers)
	if err != nil {
		return err
	}
	tables, err := c.run(ctx)
	if err != nil {
		return err
	}
	return c.finish(machine, tables, *write)
}

// complete fills in and checks the rounds and their duration. The rule of builds
// wants many rounds; short ones keep a run over all cases below half an hour.
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

// builds names the other programs of alicorn that take part.
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

// run measures group after group: the cases of one application or one backend (or
// neither, for files, plain or over TLS) share running servers.
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
		site.app = app
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
// the servers. What it measures is added to tables.
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

// runCase checks and warms every server, then measures.
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

// turns is the order in which n servers are measured in a round: as they are
// listed, and the other way round in every second one, so that none always follows
// the same.
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
	if bc.fresh {
		return handshakes{addr: s.addr, path: bc.path, want: bc.want(), connections: connections, duration: duration}
	}
	l := load{url: s.url(bc.path), connections: connections, duration: duration}
	if bc.script != "" {
		l.script = filepath.Join(c.site.appDir(), bc.script)
	}
	return l
}

// measure runs the load and reads what the server's processes used for it.
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

// failures lists what went wrong, a line for each measurement with errors.
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

// median returns the middle value of what pick takes from each sample.
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

// otherModes is the heading of RESULTS.md below which there is what other modes
// have measured.
const otherModes = "\n# Other modes\n"

// rewritten returns RESULTS.md with the report anew and the other modes' part as it was.
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
