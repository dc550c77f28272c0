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
	match     string // the name of the match block; "": usualMatch
	mandatory bool
	port      int // 0: the server's

	at *checkedBy // nil: the location has no proxy_pass or its like
}

// key returns the settings. Two checks of a group with the same key do the same.
func (c *healthCheck) key() string {
	return fmt.Sprintf("%s %s %d %d %s %s %v %d", c.interval, c.jitter, c.fails, c.passes, c.uri, c.match, c.mandatory, c.port)
}

// checker runs one health check on the peers of a Group, as long as the configuration has the
// check. It lives through reloads as the Group does.
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

// checkedBy is the location of a health check. Its checks are sent like its requests.
type checkedBy struct {
	handler  *handler
	location *proxy.Location
	match    *match
	log      func(level proxy.Level, text string, attrs ...slog.Attr)
}

// checkState is the state of one peer in one checker.
type checkState struct {
	busy bool // a request is under way
	good int  // the number of the last answers that were good
	bad  int  // the number of the last answers that were not
	sick bool
}

// maxProbes is how many peers a checker asks at a time.
const maxProbes = 64

// maxProbed is how many bytes of an answer's body a check reads.
const maxProbed = 256 << 10

func healthDirective(k *blockKey) config.Directive {
	return config.Directive{Name: "health_check", In: config.Location, Args: config.AnyArgs, Repeat: true, Set: addHealthCheck(k),
		Syntax: "[interval=TIME] [jitter=TIME] [fails=N] [passes=N] [uri=URI] [match=NAME] [port=N] [mandatory [persistent]]",
		Help: "Checks the servers of the upstream that the location passes requests to. Every interval (5s), plus a random time up to jitter (0), each server gets a request for URI (/). It is like a request of the location, but without fields of a client, and has a connection of its own. An answer is good if the match block NAME accepts it, or, without match=, if its status is from 200 to 399. " +
			"After fails (1) bad answers in a row a server gets no requests, until passes (1) answers in a row were good. If a server has several checks, each of them can take it out of service. With mandatory, a server also gets no requests before it has passed its first checks. persistent, which keeps the state in a reload, has no effect here: a reload that does not change the upstream and the check always keeps the state. port is the port for checks. In nginx this directive is commercial. 64 servers are checked at a time."}
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

// adopt makes h send the health checks of its location l.
func (b *blockSettings) adopt(h *handler, l *proxy.Location) error {
	if len(b.checks) > 0 && h.group == nil {
		return errors.New("health_check cannot be in a location with variables in proxy_pass or its like")
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

// startChecks starts the health checks of g's configuration, and ends those of the one
// before. With first it does so only for Groups that no configuration has served with yet.
func (d *definitions) startChecks(g *proxy.Generation, first bool) {
	wanted := map[*Group][]*healthCheck{}
	for _, c := range d.checks {
		if c.at != nil {
			if c.at.log == nil { // otherwise a checker may already be using it
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

// check makes these the health checks of g. A check that g has already keeps its state.
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
			err = errors.New("it must be longer than 0")
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
			err = fmt.Errorf("invalid URI %q; it must begin with \"/\", and must not have a space or a control character", value)
		}
	case word == "type" || word == "grpc_service" || word == "grpc_status" || word == "keepalive_time":
		return fmt.Errorf("nginx's parameter %q is not supported here: checks use the protocol of the location, and a new connection each", word)
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

// stop ends the checks. Peers count as healthy for this checker afterwards.
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

// begin returns the peers to ask now, and marks them as busy. It leaves out busy peers and
// those marked down.
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

// meet adds states for new peers, and drops those of peers that are gone.
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

// set sets whether a peer is sick for this check.
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

// conclude counts the result of a check of p. why is the reason if the answer was bad; "": it
// was good.
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

// probe asks a peer, and returns why its answer is bad; "": it is good.
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

// errProbed ends the request of a check once it has read enough of the answer.
var errProbed = errors.New("enough of the answer was read")

// target returns the peer that a check of p asks: the same address, at the port of the check.
// Connections to it are not kept.
func (c *checker) target(p *peer) *peer {
	at, _ := netip.ParseAddrPort(p.name) // a unix socket has none
	if c.port > 0 && at.IsValid() {
		at = netip.AddrPortFrom(at.Addr(), uint16(c.port))
	}
	own := c.group.newPeer(&server{addr: p.addr, weight: 1}, at)
	own.gone.Store(true)
	return own
}

// probe is the handler of a check's request.
type probe struct {
	handler *handler
	group   *Group
	peer    *peer
	uri     string
	body    bool // the check reads the body
}

// Serve asks the peer.
func (q *probe) Serve(x *proxy.Exchange) error {
	p := q.handler.begin(x)
	p.target, p.group, p.upstream, p.security, p.probe = q.handler.pass, q.group, &definition{name: q.group.name}, q.handler.secure, q
	p.roster = &roster{method: roundRobin, members: []*member{{peer: q.peer, effective: q.peer.share}}}
	return p.start(x)
}
