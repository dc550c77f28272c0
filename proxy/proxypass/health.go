package proxypass

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// healthCheck is one health_check directive.
type healthCheck struct {
	pos       config.Pos
	interval  time.Duration
	jitter    time.Duration
	fails     int
	passes    int
	uri       string
	match     string // name of the block; "": usualMatch
	mandatory bool
	port      int // 0: the server's

	at *checkedBy // nil: the location passes nothing on
}

// key is what tells whether two checks of a group are alike.
func (c *healthCheck) key() string {
	return fmt.Sprintf("%s %s %d %d %s %s %v %d", c.interval, c.jitter, c.fails, c.passes, c.uri, c.match, c.mandatory, c.port)
}

// checker asks the peers of a Group whether they are well, for as long as the Group is used
// by configurations with the check. It lives through reloads as the Group does.
type checker struct {
	*healthCheck
	group *Group
	by    atomic.Pointer[checkedBy]

	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	states map[*peer]*checkState
	ended  bool
}

// checkedBy is the location whose requests the checks are like.
type checkedBy struct {
	handler  *handler
	location *proxy.Location
	match    *match
	log      func(level proxy.Level, text string, attrs ...slog.Attr)
}

// checkState is what one check knows of one peer.
type checkState struct {
	busy bool
	good int // in a row
	bad  int // in a row
	sick bool
}

// maxProbes bounds how many peers a check asks at a time.
const maxProbes = 64

// maxProbed is how much of an answer's body a check looks at.
const maxProbed = 256 << 10

func healthDirective(k *blockKey) config.Directive {
	return config.Directive{Name: "health_check", In: config.Location, Args: config.AnyArgs, Repeat: true, Set: addHealthCheck(k),
		Syntax: "[interval=TIME] [jitter=TIME] [fails=N] [passes=N] [uri=URI] [match=NAME] [port=N] [mandatory [persistent]]",
		Help: "Checks the servers of the upstream that the location passes requests to: each is asked for URI (/) every interval (5s), later by a random time up to jitter (0), as the location's own requests are but for the client's fields, on a connection of its own. An answer is good that the match block NAME says is, or without one that has a status from 200 to 399. " +
			"A server gets no requests after fails (1) checks in a row that were not good, until passes (1) in a row were. With several checks one is enough for that. With mandatory a server gets none before its first checks either; persistent says that a reload does not begin anew, which is so here in any case where it leaves upstream and check as they are. port is for checks alone. In nginx it is commercial. A check goes on for as long as the upstream; 64 servers are asked at a time."}
}

func addHealthCheck(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := &healthCheck{pos: n.Pos, interval: 5 * time.Second, fails: 1, passes: 1, uri: "/"}
		persistent := false
		for _, a := range n.Args {
			if a.Text == "persistent" {
				persistent = true
			} else if err := c.parameter(a.Text); err != nil {
				return &config.Error{Pos: a.Pos, Msg: "health_check: " + err.Error()}
			}
		}
		if persistent && !c.mandatory {
			return errors.New("health_check: \"persistent\" needs \"mandatory\"")
		}
		b := k.In(s)
		b.checks, b.all.checks = append(b.checks, c), append(b.all.checks, c)
		s.Load().Defer(n.Pos, func() error {
			if c.match != "" && b.all.match(c.match) == nil {
				return fmt.Errorf("health_check: there is no match block %q", c.match)
			}
			return nil
		})
		return nil
	}
}

// adopt has the checks of h's location be like its requests.
func (b *blockSettings) adopt(h *handler, l *proxy.Location) error {
	if len(b.checks) > 0 && h.group == nil {
		return errors.New("health_check cannot be in a location whose requests name their upstream by variables")
	}
	for _, c := range b.checks {
		m := b.all.match(c.match)
		if m == nil {
			m = usualMatch()
		}
		c.at = &checkedBy{handler: h, location: l, match: m}
	}
	return nil
}

// startChecks has the groups of g be checked as the configuration says, and no longer as
// the one before has said. With first only those that serve no other configuration are.
func (d *definitions) startChecks(g *proxy.Generation, first bool) {
	wanted := map[*Group][]*healthCheck{}
	for _, c := range d.checks {
		if c.at != nil {
			if c.at.log == nil { // it may have begun
				c.at.log = g.LogTo
			}
			wanted[c.at.handler.group] = append(wanted[c.at.handler.group], c)
		}
	}
	g.Resources.Each(func(_ string, v any) {
		if group, ok := v.(*Group); ok && !(first && group.serves) {
			group.check(wanted[group])
			group.serves = !first
		}
	})
}

// check has g be checked in these ways. A check that goes on keeps what it knows.
func (g *Group) check(wanted []*healthCheck) {
	g.mu.Lock()
	before := g.checkers
	var now []*checker
	for _, w := range wanted {
		i := slices.IndexFunc(before, func(c *checker) bool { return c.key() == w.key() })
		if i < 0 {
			c := &checker{healthCheck: w, group: g}
			c.by.Store(w.at)
			now = append(now, c)
			continue
		}
		before[i].by.Store(w.at)
		now = append(now, before[i])
		before = slices.Delete(slices.Clone(before), i, i+1)
	}
	fresh := slices.DeleteFunc(slices.Clone(now), func(c *checker) bool { return c.cancel != nil })
	g.checkers = now
	g.mu.Unlock()
	for _, c := range before {
		c.stop()
	}
	for _, c := range fresh {
		c.start()
	}
}

// stopChecks ends all checks.
func (g *Group) stopChecks() { g.check(nil) }

func (c *healthCheck) parameter(text string) (err error) {
	word, value, _ := strings.Cut(text, "=")
	switch {
	case text == "mandatory":
		c.mandatory = true
	case word == "interval":
		if c.interval, err = config.ParseTime(value); err == nil && c.interval <= 0 {
			err = errors.New("0 is no interval")
		}
	case word == "jitter":
		c.jitter, err = config.ParseTime(value)
	case word == "fails":
		c.fails, err = config.ParseInt(value, 1, 1<<20)
	case word == "passes":
		c.passes, err = config.ParseInt(value, 1, 1<<20)
	case word == "port":
		c.port, err = config.ParseInt(value, 1, 65535)
	case word == "match" && value != "":
		c.match = value
	case word == "uri":
		if c.uri = value; !strings.HasPrefix(value, "/") || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			err = fmt.Errorf("invalid URI %q; it begins with \"/\", and has no space", value)
		}
	case word == "type" || word == "grpc_service" || word == "grpc_status" || word == "keepalive_time":
		return fmt.Errorf("nginx's parameter %q is not here: checks are requests of the location's protocol, each on a connection of its own", word)
	default:
		return fmt.Errorf("invalid parameter %q; it takes interval=TIME, jitter=TIME, fails=N, passes=N, uri=URI, match=NAME, port=N, mandatory and persistent", text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// start begins the checks.
func (c *checker) start() {
	c.meet()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.done.Go(func() { c.run(ctx) })
}

// stop ends the checks. Peers that are sick by them are well again.
func (c *checker) stop() {
	c.cancel()
	c.done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for p, st := range c.states {
		st.set(p, false)
	}
}

func (c *checker) run(ctx context.Context) {
	places := make(chan struct{}, maxProbes)
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, p := range c.begin() {
			c.done.Go(func() {
				c.pause(ctx)
				select {
				case places <- struct{}{}:
					c.conclude(ctx, p, c.probe(ctx, p))
					<-places
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// pause waits for a random part of the jitter.
func (c *checker) pause(ctx context.Context) {
	if c.jitter <= 0 {
		return
	}
	t := time.NewTimer(rand.N(c.jitter))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// begin returns the peers that are asked now: those that are not asked already.
func (c *checker) begin() (ask []*peer) {
	c.meet()
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, st := range c.states {
		if !st.busy && !p.down {
			st.busy = true
			ask = append(ask, p)
		}
	}
	return ask
}

// meet begins to know peers that are new, and forgets those that are gone.
func (c *checker) meet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	peers := c.group.current()
	states := make(map[*peer]*checkState, len(peers))
	for _, p := range peers {
		if states[p] = c.states[p]; states[p] == nil {
			states[p] = &checkState{}
			if c.mandatory {
				states[p].set(p, true)
			}
		}
	}
	c.states = states
}

// set notes that a peer is sick, or well, as far as this check goes.
func (st *checkState) set(p *peer, sick bool) {
	if st.sick == sick {
		return
	}
	if st.sick = sick; sick {
		p.sick.Add(1)
	} else {
		p.sick.Add(-1)
	}
}

// conclude notes the result of a check; why is why it has failed, "" that it has passed.
func (c *checker) conclude(ctx context.Context, p *peer, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.states[p]
	if st == nil || ctx.Err() != nil {
		return
	}
	st.busy = false
	if why == "" {
		st.good, st.bad = st.good+1, 0
	} else {
		st.good, st.bad = 0, st.bad+1
	}
	log := c.by.Load().log
	switch {
	case st.sick && st.good >= c.passes:
		st.set(p, false)
		log(proxy.LevelNotice, fmt.Sprintf("peer is healthy, health check of peer %s in upstream %q", p.name, c.group.name))
	case st.bad == c.fails:
		st.set(p, true)
		log(proxy.LevelWarn, fmt.Sprintf("peer is unhealthy: %s, health check of peer %s in upstream %q", why, p.name, c.group.name))
	}
}

// probe asks a peer, and returns why its answer is not good.
func (c *checker) probe(ctx context.Context, p *peer) string {
	by := c.by.Load()
	path, args, _ := strings.Cut(c.uri, "?")
	var body []byte
	r := &proxy.OwnRequest{Path: path, Args: args, Target: c.uri, Host: by.location.Server.Name, Take: func(b []byte) error {
		if body = append(body, b[:min(len(b), maxProbed-len(body))]...); len(body) == maxProbed {
			return errProbed
		}
		return nil
	}}
	x, err := proxy.Own(ctx, by.location, r, &probe{by.handler, c.group, c.target(p), c.uri, by.match.body != nil})
	defer x.Release()
	defer by.handler.state.recycle(x)
	if err != nil && !errors.Is(err, errProbed) {
		return err.Error()
	}
	pass := *by.handler.state.pass.In(x)
	return by.match.why(pass.raw.Status, &pass.raw.Header, body)
}

// errProbed ends a request of whose answer enough is known.
var errProbed = errors.New("enough of the answer is known")

// target returns what is asked in p's place: the same address, at the port of the check. Its
// connections are not kept.
func (c *checker) target(p *peer) *peer {
	at, _ := netip.ParseAddrPort(p.name) // a unix socket has none
	if c.port > 0 && at.IsValid() {
		at = netip.AddrPortFrom(at.Addr(), uint16(c.port))
	}
	own := c.group.newPeer(&server{addr: p.addr, weight: 1}, at)
	own.gone.Store(true)
	return own
}

// probe is the handler of a check.
type probe struct {
	handler *handler
	group   *Group
	peer    *peer
	uri     string
	body    bool // the body of the answer counts
}

// Serve asks the peer.
func (q *probe) Serve(x *proxy.Exchange) error {
	p := q.handler.begin(x)
	p.target, p.group, p.upstream, p.probe = q.handler.pass, q.group, &definition{name: q.group.name}, q
	p.roster = &roster{method: roundRobin, members: []*member{{peer: q.peer, effective: q.peer.share}}}
	return p.start(x)
}
