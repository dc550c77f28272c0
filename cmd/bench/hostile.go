package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// hostileFile is configuration for the site besides its ordinary server: the same
// server over TLS, one with a limit and a pattern that backtracks, and an application
// that attacks, with a user of its own if the server is started as root.
const hostileFile = `limit_req_zone $server_port zone=hostile:1m rate=100r/s;
app hostile {
    wsgi hostile:app;
    directory %[1]s;
    python /usr/bin/python3;
    workers 2;
    timeout 2s;
    %[2]s
}
server {
    listen %[3]s;
    access_log off;
    location / { app_pass hostile; }
}
server {
    listen %[4]s ssl;
    access_log off;
    ssl_certificate %[5]s;
    ssl_certificate_key %[6]s;
    location /static/ { alias %[7]s/; }
    location / { app_pass bench; }
}
server {
    listen %[8]s;
    access_log off;
    location /limited { limit_req zone=hostile burst=40; app_pass bench; }
    location ~ ^/(?!static/)(.*/)*internal/ { return 403; }
    location / { return 204; }
}
`

// hostilePriority is the nice value of what serves clients, as README proposes it.
const hostilePriority = -10

// ordinaryPage is what others visit.
var ordinaryPage = benchCase{name: "page", app: "ordinary:app", path: "/",
	want: func() []byte { return []byte("page" + strings.Repeat("x", 2044)) }}

// hostile is one run of the mode hostile: ordinary load, with and without attacks.
type hostile struct {
	groups   [][]attack    // the attacks of a group run at once
	rounds   int           // each with and without the attacks; the median counts
	quiet    time.Duration // how long the load runs alone before each attack
	duration time.Duration // of an attack
	load     steady
	factor   float64       // rule: a p99 is at most so many times the quiet one; see measured.elsewhere
	floor    time.Duration // a quiet p99 counts as this at least
	other    bool          // the attacks are on another server than the load
	launch   func(group []attack, t target) (*launched, error)
}

// measured is the results of the load during one group of attacks, or in quiet.
type measured struct {
	name   string
	tries  int64
	failed int
	still  time.Duration // for how long the machine stood still, which counts for no request
	rounds [][]sample    // p50 and p99 of each errand, by round
	// elsewhere has the load during the same attacks on another server; nil: the attacks
	// are compared with quiet. Many attacks together need more than all processors. They
	// delay every server of the machine, and no server can prevent that.
	elsewhere *measured
	// pair has the load on nginx with gunicorn during the same attacks there; nil: it was not
	// measured. It is reported, and does not count.
	pair *measured
}

// add adds a round.
func (m *measured) add(round measured) {
	m.name = round.name
	m.tries += round.tries
	m.failed += round.failed
	m.still += round.still
	m.rounds = append(m.rounds, round.rounds...)
}

// addElsewhere adds a round of the same attacks on another server.
func (m *measured) addElsewhere(round measured) { addRound(&m.elsewhere, round, "on another server") }

// addPair adds a round of the same attacks, and of the load, on nginx with gunicorn.
func (m *measured) addPair(round measured) { addRound(&m.pair, round, "on nginx with gunicorn") }

func addRound(to **measured, round measured, where string) {
	if *to == nil {
		*to = &measured{}
	}
	round.name += ", " + where
	(*to).add(round)
}

// median returns the median of rounds for errand i.
func (m *measured) median(i int) sample {
	samples := make([]sample, len(m.rounds))
	for r := range m.rounds {
		samples[r] = m.rounds[r][i]
	}
	return sample{p50: median(samples, func(s sample) time.Duration { return s.p50 }),
		p99: median(samples, func(s sample) time.Duration { return s.p99 })}
}

// runHostile attacks a server with each attack alone and then with all together, and
// compares how long other clients wait: with quiet, and during all together with the same
// attacks on another server. It reports beside that how long clients of nginx with gunicorn wait.
func runHostile(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("hostile", flag.ContinueOnError)
	h := hostile{launch: launchAttacks}
	list := flags.String("attacks", "", "`names` of attacks, separated by commas (default each, and then all together): "+attackNames())
	flags.IntVar(&h.rounds, "rounds", 3, "`number` of rounds, each with and without the attack; the median counts")
	flags.DurationVar(&h.quiet, "quiet", time.Second, "how long the load runs alone before each attack")
	flags.DurationVar(&h.duration, "duration", 2*time.Second, "how long each attack lasts in each round")
	flags.IntVar(&h.load.rate, "rate", 150, "`number` of requests a second for pages, and the same for files")
	flags.Float64Var(&h.factor, "factor", 2, "how many times as long as without an attack the p99 of the load may be")
	flags.DurationVar(&h.floor, "floor", 8*time.Millisecond, "a p99 without an attack that is shorter counts as this: two processes on one core delay each other so much")
	flags.BoolVar(&h.other, "other", false, "attack another server of the same configuration: what the attacks take from the machine, whoever suffers them")
	servers := flags.String("servers", "alicorn", "`names` of servers: alicorn, or NAME=PATH for the alicorn program at PATH")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if h.load.rate < 1 || h.rounds < 1 || h.duration <= 0 || h.quiet <= 0 {
		return errors.New("-rate, -rounds, -duration and -quiet must be positive")
	}
	if err := h.choose(*list); err != nil {
		return err
	}
	h.load.watch = watchIfAllowed()
	return h.measure(ctx, *servers)
}

// watchIfAllowed returns what watches the machine; nil, and says so, if that is not allowed.
func watchIfAllowed() func() (func() (standstills, error), error) {
	w, err := watchMachine()
	if err == nil {
		_, err = w.end()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v: times in which the whole machine stands still count too\n", err)
		return nil
	}
	return func() (func() (standstills, error), error) {
		w, err := watchMachine()
		if err != nil {
			return nil, err
		}
		return w.end, nil
	}
}

// choose makes the groups: each attack of the list alone, and all together. Without root
// it leaves out the attacks that only a user of its own keeps inside the application.
func (h *hostile) choose(list string) error {
	all, err := chooseAttacks(list)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		all = slices.DeleteFunc(all, func(a attack) bool {
			if a.separate {
				fmt.Printf("%s is left out: it needs root, for applications with users of their own\n", a.name)
			}
			return a.separate
		})
	}
	if len(all) == 0 {
		return errors.New("no attack is left")
	}
	for _, a := range all {
		h.groups = append(h.groups, []attack{a})
	}
	if len(all) > 1 {
		h.groups = append(h.groups, all)
	}
	return nil
}

// measure attacks each of the servers.
func (h *hostile) measure(ctx context.Context, servers string) error {
	h.load.errands = []errand{{"page", "/", "page"}, {"file", "/static/1k", ""}}
	h.load.visitors, h.load.fresh = 12, 50
	for name := range strings.SplitSeq(servers, ",") {
		err := h.withTarget(ctx, name, func(s *server, t target) error {
			return h.withTarget(ctx, name, func(_ *server, other target) error {
				if h.other {
					t = other
				}
				return h.withPair(ctx, func(pair target) error { return h.run(ctx, s, t, other, pair) })
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withTarget calls f with each of the servers, and what there is to attack of it.
func (h *hostile) withTarget(ctx context.Context, servers string, f func(*server, target) error) error {
	var t target
	return withSite(ctx, servers, func(s *site) error { return h.shape(s, &t) }, func(s *server) error {
		if s.verbs == nil {
			return fmt.Errorf("cannot attack %s: only alicorn has the configuration for it", s.name)
		}
		t.Ordinary = s.addr
		t.Reload, t.Status, t.Env = s.verbs.command("reload"), s.verbs.command("status"), s.verbs.env
		if err := s.ready(ctx, ordinaryPage); err != nil {
			return err
		}
		return f(s, t)
	})
}

// shape adds to the site the applications and the servers that are attacked.
func (h *hostile) shape(s *site, t *target) error {
	id, err := h.shapeAddresses(s, t)
	if err != nil {
		return err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user daemon;"
	}
	s.directives = fmt.Sprintf(hostileFile, s.appDir(), user, t.Hostile, t.Secure, id.cert, id.key, s.staticDir(), t.Limited)
	return nil
}

// shapeAddresses chooses the addresses that are attacked, and the ordinary application.
// What serves clients goes before applications, and before the programs that attack: these
// take processors from it here, which they would not do from afar.
func (h *hostile) shapeAddresses(s *site, t *target) (id *identity, err error) {
	s.app, s.workers, s.threads = "ordinary:app", 2, 8
	s.priority = hostilePriority
	for _, addr := range []*string{&t.Hostile, &t.Secure, &t.Limited} {
		if *addr, err = s.freeAddress(); err != nil {
			return nil, err
		}
	}
	return newIdentity(s.dir)
}

// run measures quiet and attack in turns, so that the machine's own noise is in
// both, and judges each attack by all quiet times.
func (h *hostile) run(ctx context.Context, s *server, t, other, pair target) error {
	h.load.report = &firstLines{w: os.Stderr, left: 20}
	var quiet measured
	attacked := make([]measured, len(h.groups))
	for range h.rounds {
		for g, group := range h.groups {
			m, err := h.beside(ctx, s.addr, nil, t, h.quiet)
			if err != nil {
				return err
			}
			quiet.add(m)
			if len(group) > 1 && !h.other {
				if m, err = h.beside(ctx, s.addr, group, other, h.duration); err != nil {
					return err
				}
				attacked[g].addElsewhere(m)
				if m, err = h.beside(ctx, pair.Ordinary, group, pair, h.duration); err != nil {
					return err
				}
				attacked[g].addPair(m)
			}
			if m, err = h.beside(ctx, s.addr, group, t, h.duration); err != nil {
				return err
			}
			attacked[g].add(m)
		}
	}
	err := h.report(os.Stdout, s.name, quiet, attacked)
	if err != nil {
		fmt.Fprintf(os.Stderr, "last lines of the server's log:\n%q\n", s.logs())
	}
	return err
}

// firstTries is how long attacks may take until each has tried something.
const firstTries = time.Minute

// beside runs the load during a group of attacks, for the time d and until each attack
// has tried something, which takes a while on a slow machine.
func (h *hostile) beside(ctx context.Context, addr string, group []attack, t target, d time.Duration) (m measured, err error) {
	switch len(group) {
	case 0:
		m.name = "quiet"
	case 1:
		m.name = group[0].name
	default:
		m.name = "all together"
	}
	var attacks *launched
	if len(group) > 0 {
		if attacks, err = h.launch(group, t); err != nil {
			return m, err
		}
	}
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		if sleep(loaded, d) && attacks != nil {
			attacks.await(loaded)
		}
	}()
	load := h.load
	load.addr = addr
	tallies, still, err := load.run(loaded)
	m.take(tallies)
	m.still = still
	h.printOne(m, tallies)
	if attacks != nil {
		err = errors.Join(err, m.count(attacks.end))
	}
	return m, errors.Join(err, ctx.Err())
}

// await waits until each attack has tried something, for firstTries at most.
func (l *launched) await(ctx context.Context) {
	select {
	case <-l.tried:
	case <-ctx.Done():
	case <-time.After(firstTries):
	}
}

// take makes tallies a round.
func (m *measured) take(tallies []*tally) {
	var round []sample
	for _, t := range tallies {
		m.failed += t.failed()
		round = append(round, sample{p50: percentile(t.latencies, 0.5), p99: percentile(t.latencies, 0.99)})
	}
	m.rounds = append(m.rounds, round)
}

// count ends the attacks and adds up what they tried. One that could try nothing
// proves nothing.
func (m *measured) count(end func() (map[string]int64, error)) error {
	tries, err := end()
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		if tries[name] == 0 {
			err = errors.Join(err, fmt.Errorf("%w: the attack %s tried nothing", errBroken, name))
		}
		m.tries += tries[name]
	}
	return err
}

func (h *hostile) printOne(m measured, tallies []*tally) {
	fmt.Fprintf(os.Stderr, "%s; the machine stood still for %s", m.name, milliseconds(m.still))
	for i, t := range tallies {
		fmt.Fprintf(os.Stderr, "; %s: %s", h.load.errands[i].name, distribution(t.latencies))
		for _, reason := range slices.Sorted(maps.Keys(t.failures)) {
			fmt.Fprintf(os.Stderr, ", failed, %s: %d", reason, t.failures[reason])
		}
	}
	fmt.Fprintln(os.Stderr)
}

// row returns the row of m, without a verdict.
func (h *hostile) row(m *measured, quiet measured) []string {
	row := []string{m.name, fmt.Sprint(m.tries)}
	for i := range h.load.errands {
		own := m.median(i)
		against := float64(own.p99) / float64(max(quiet.median(i).p99, h.floor))
		row = append(row, milliseconds(own.p50), milliseconds(own.p99), fmt.Sprintf("%.1fx", against))
	}
	return append(row, fmt.Sprint(m.failed), milliseconds(m.still))
}

// The verdicts on a group of attacks.
const (
	holds   = "holds"
	tooSlow = "SLOW"
	fails   = "FAILS"
)

// verdict judges m.
func (h *hostile) verdict(m *measured, quiet measured) string {
	if m.failed > 0 {
		return fails
	}
	for i := range h.load.errands {
		bound := max(quiet.median(i).p99, h.floor)
		if m.elsewhere != nil {
			bound = max(bound, m.elsewhere.median(i).p99)
		}
		if float64(m.median(i).p99) > h.factor*float64(bound) {
			return tooSlow
		}
	}
	return holds
}

// report writes a row for each attack and returns an error if the rule is broken.
func (h *hostile) report(w io.Writer, server string, quiet measured, attacked []measured) error {
	header, line := []string{server, "tries"}, []string{"quiet", ""}
	for i, e := range h.load.errands {
		header = append(header, e.name+" p50", e.name+" p99", "against quiet")
		line = append(line, milliseconds(quiet.median(i).p50), milliseconds(quiet.median(i).p99), "1.0x")
	}
	rows := [][]string{append(header, "failed", "stood still", "verdict"), append(line, fmt.Sprint(quiet.failed), milliseconds(quiet.still), "")}
	var broken []string
	for _, m := range attacked {
		for _, beside := range []*measured{m.elsewhere, m.pair} {
			if beside != nil {
				rows = append(rows, append(h.row(beside, quiet), ""))
			}
		}
		verdict := h.verdict(&m, quiet)
		rows = append(rows, append(h.row(&m, quiet), verdict))
		if verdict != holds {
			broken = append(broken, m.name)
		}
	}
	var b strings.Builder
	writeAligned(&b, rows)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: beside %s ordinary requests failed, or their p99 was more than %g times that of quiet (counted as %v at least) or, for many attacks together, of the same attacks on another server",
			errBroken, strings.Join(broken, ", "), h.factor, h.floor)
	}
	return nil
}
