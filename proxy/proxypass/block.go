package proxypass

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"alicorn/config"
)

// definition is the configuration of a Group: an upstream block, or a proxy_pass without one.
type definition struct {
	name    string
	pos     config.Pos
	servers []server
	used    bool          // a location passes requests to it
	scope   *config.Scope // of the block; nil: there is no block

	balance      balancing
	sticky       *sticky
	zone         string // the name of its zone; "": there is none
	queue        int    // how many requests may wait for a server; 0: none
	queueTimeout time.Duration

	keep         int // the number of connections that each lane keeps; 0: none
	keepTimeout  time.Duration
	keepTime     time.Duration
	keepRequests int
}

// server is one server directive.
type server struct {
	text        string // the address as written
	addr        address
	pos         config.Pos
	weight      int
	maxConns    int // 0: any number
	maxFails    int // 0: it never rests after failures
	failTimeout time.Duration
	slowStart   time.Duration
	route       string
	down        bool
	backup      bool
	drain       bool   // it gets only requests that sticky binds to it
	resolve     bool   // its name is looked up again while requests are served
	service     string // the service whose SRV records have its addresses; "": none
}

// newServer returns a server with nginx's defaults.
func newServer(a address) server {
	return server{addr: a, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}
}

// blockSettings are the settings of a block about upstream blocks.
type blockSettings struct {
	group  *definition    // of this upstream block; nil: it is another block
	match  *match         // of this match block; nil: it is another block
	checks []*healthCheck // of this location
	all    *definitions
}

type blockKey = config.Key[blockSettings]

func newBlockKey() *blockKey {
	k := config.NewKey(func() blockSettings { return blockSettings{all: &definitions{}} })
	k.Enter = func(s *config.Scope, c *blockSettings) { c.group, c.match, c.checks = nil, nil, nil }
	k.Leave = func(s *config.Scope, c *blockSettings) error {
		if c.group == nil {
			return nil
		}
		if slices.ContainsFunc(s.Node.Children, isWrongServer) {
			return nil // it has its own message
		}
		return c.group.complete()
	}
	return k
}

// isWrongServer reports whether a directive of an upstream block is a server that is not taken
// as one: without an address, with a block, or with a mistake in its name.
func isWrongServer(n *config.Node) bool {
	return n.Name == "server" && (len(n.Args) == 0 || n.Block) || n.Name != "server" && config.Nearest(n.Name, []string{"server"}) != ""
}

// definitions are the upstream blocks of one configuration.
type definitions struct {
	list  []*definition
	zones []*zone

	matches []*match
	checks  []*healthCheck
}

func (d *definitions) find(name string) *definition {
	i := slices.IndexFunc(d.list, func(o *definition) bool { return strings.EqualFold(o.name, name) })
	if i < 0 {
		return nil
	}
	return d.list[i]
}

// near returns a hint with the upstream that name probably means; "": there is none.
func (d *definitions) near(name string) string {
	var names []string
	for _, o := range d.list {
		names = append(names, o.name)
	}
	if near := config.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean the upstream %q?", near)
	}
	return ""
}

func newDefinition(name string, pos config.Pos) *definition {
	return &definition{name: name, pos: pos, keep: 32, keepTimeout: time.Minute, keepTime: time.Hour, keepRequests: 1000, queueTimeout: defaultQueueTime}
}

// single returns the definition of a proxy_pass that names a server.
func single(t *target, pos config.Pos) *definition {
	d := newDefinition(t.addr.String(), pos)
	sv := newServer(t.addr)
	sv.text, sv.pos = t.addr.String(), pos
	d.servers = []server{sv}
	return d
}

// String returns all settings. A Group can serve another configuration whose definition has
// the same String.
func (d *definition) String() string {
	return fmt.Sprintf("%s %+v %d %s %s %d %s %q %q %d %s %q", d.name, d.essence(), d.keep, d.keepTimeout, d.keepTime, d.keepRequests,
		d.balance.name, d.balance.text, d.zone, d.queue, d.queueTimeout, d.stickyText())
}

// essence returns the servers without their positions in the file.
func (d *definition) essence() []server {
	servers := slices.Clone(d.servers)
	for i := range servers {
		servers[i].pos = config.Pos{}
	}
	return servers
}

func (d *definition) stickyText() string {
	if d.sticky == nil {
		return ""
	}
	return d.sticky.text
}

// check looks up the servers of the blocks that no location uses, as nginx does.
func (d *definitions) check(l *config.Load, o Options) error {
	for _, g := range d.list {
		if g.used {
			continue
		}
		found, err := g.lookUp(l.Resources.Host)
		if err == nil {
			_, err = g.namingOf(found, o)
		}
		l.FailWith(g.pos, err)
	}
	for _, c := range d.checks {
		if c.at == nil {
			l.Fail(c.pos, "health_check needs proxy_pass, or its like, in the same location")
		}
	}
	return nil
}

// complete checks an upstream block as a whole.
func (d *definition) complete() error {
	if len(d.servers) == 0 {
		return &config.Error{Pos: d.pos, Msg: fmt.Sprintf("upstream %q is empty; it needs a server", d.name)}
	}
	if !slices.ContainsFunc(d.servers, func(sv server) bool { return !sv.backup }) {
		return &config.Error{Pos: d.pos, Msg: fmt.Sprintf("upstream %q has no server that is not a backup", d.name)}
	}
	return nil
}

func openUpstream(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		c.group = newDefinition(n.Arg(0), n.Pos)
		c.group.scope = s
		if other := c.all.find(n.Arg(0)); other != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("upstream %q is duplicate; the first is at %s", n.Arg(0), other.pos)}
		}
		c.all.list = append(c.all.list, c.group)
		return nil
	}
}

// addServer adds a server. It adds one with a mistake, too: otherwise the block might also be
// reported as empty.
func addServer(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		sv := newServer(address{})
		sv.text, sv.pos = n.Arg(0), n.Args[0].Pos
		d := k.In(s).group
		defer func() {
			sv.backup = sv.backup && err == nil
			d.servers = append(d.servers, sv)
		}()
		if sv.addr, err = parseAddress(n.Arg(0), defaultPort); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "server: " + err.Error()}
		}
		for _, a := range n.Args[1:] {
			if err := sv.parameter(a.Text, &d.balance); err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
		}
		return sv.checkNames()
	}
}

// checkNames checks resolve and service. As in nginx, they have no effect on an address.
func (sv *server) checkNames() error {
	switch {
	case sv.service != "" && !sv.resolve:
		return &config.Error{Pos: sv.pos, Msg: fmt.Sprintf("service upstream %q requires \"resolve\" parameter", sv.text)}
	case sv.service != "" && sv.addr.ported:
		return &config.Error{Pos: sv.pos, Msg: fmt.Sprintf("service upstream %q may not have port", sv.text)}
	}
	if _, err := netip.ParseAddr(sv.addr.host); err == nil || sv.addr.path != "" {
		sv.resolve, sv.service = false, ""
	}
	return nil
}

// parameter reads one parameter of server. As in nginx, it may be an error after the
// directive of some methods.
func (sv *server) parameter(text string, b *balancing) (err error) {
	word, value, _ := strings.Cut(text, "=")
	switch {
	case b.fixed() && (text == "backup" || word == "slow_start"):
		return fmt.Errorf("balancing method does not support parameter %q: %s treats all servers alike", text, b.name)
	case text == "down":
		sv.down = true
	case text == "backup":
		sv.backup = true
	case text == "resolve":
		sv.resolve = true
	case word == "service" && value != "":
		sv.service = value
	case text == "drain":
		sv.drain = true
	case word == "weight":
		sv.weight, err = config.ParseInt(value, 1, 65535)
	case word == "max_conns":
		sv.maxConns, err = config.ParseInt(value, 0, 1<<30)
	case word == "max_fails":
		sv.maxFails, err = config.ParseInt(value, 0, 1<<30)
	case word == "fail_timeout":
		sv.failTimeout, err = config.ParseTime(value)
	case word == "slow_start":
		sv.slowStart, err = config.ParseTime(value)
	case word == "route":
		sv.route, err = value, checkRoute(value)
	default:
		return fmt.Errorf("invalid parameter %q of server; it takes weight=N, max_conns=N, max_fails=N, fail_timeout=TIME, slow_start=TIME, route=NAME, service=NAME, resolve, down, backup and drain", text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// checkRoute checks the route of a server, which may be the value of a cookie: RFC 6265
// section 4.1.1.
func checkRoute(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`",;\`, c) }) {
		return fmt.Errorf("invalid name %.80q; it must have 1 to 64 characters that are allowed in a cookie", name)
	}
	return nil
}

func setKeepalive(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		number, err := config.ParseInt(n.Arg(0), 0, 1<<20)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "keepalive: " + err.Error()}
		}
		k.In(s).group.keep = number
		return nil
	}
}

// ofGroup sets a time of the upstream block.
func ofGroup(k *blockKey, field func(d *definition) *time.Duration) config.Setter {
	return config.Duration(k, func(c *blockSettings) *time.Duration { return field(c.group) })
}
