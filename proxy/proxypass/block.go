package proxypass

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"alicorn/config"
)

// definition is what an upstream block says, or a proxy_pass without one.
type definition struct {
	name    string
	pos     config.Pos
	servers []server
	used    bool          // a location passes to it
	scope   *config.Scope // the block; nil: there is none

	balance      balancing
	sticky       *sticky
	zone         string // its name; "": there is none
	queue        int    // how many requests wait for a server; 0: none
	queueTimeout time.Duration

	keep         int // kept connections of each lane; 0: none
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
	maxFails    int // 0: it never counts as failed
	failTimeout time.Duration
	slowStart   time.Duration
	route       string
	down        bool
	backup      bool
	drain       bool   // it is asked for those alone who are bound to it
	resolve     bool   // its name is resolved while it serves
	service     string // the name of the service whose addresses are the server's; "": it is no service
}

// blockSettings are what a block knows of upstream blocks.
type blockSettings struct {
	group  *definition    // of this very upstream block
	match  *match         // of this very match block
	checks []*healthCheck // of this very location
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
		return c.group.complete()
	}
	return k
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

// near names the upstream that is most likely meant by name; "" where there is none.
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

// single is the definition of a proxy_pass that names a server itself.
func single(t *target, pos config.Pos) *definition {
	d := newDefinition(t.addr.String(), pos)
	d.servers = []server{{text: t.addr.String(), addr: t.addr, pos: pos, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}}
	return d
}

// String is what tells whether a group can serve another configuration.
func (d *definition) String() string {
	return fmt.Sprintf("%s %+v %d %s %s %d %s %q %q %d %s %q", d.name, d.essence(), d.keep, d.keepTimeout, d.keepTime, d.keepRequests,
		d.balance.name, d.balance.text, d.zone, d.queue, d.queueTimeout, d.stickyText())
}

// essence is the servers without their places in the file.
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

// check looks for the servers of the blocks that nothing uses, as nginx does.
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
			l.Fail(c.pos, "health_check has no proxy_pass, or its like, in its location")
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

// addServer adds a server, also one with a mistake: the block is not without servers.
func addServer(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		sv := server{text: n.Arg(0), pos: n.Args[0].Pos, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}
		d := k.In(s).group
		defer func() { d.servers = append(d.servers, sv) }()
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

// checkNames checks the parameters about the server's name. An address is no name.
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

// parameter reads one parameter of server. As in nginx a method that stands before it in
// the block may have no use for it.
func (sv *server) parameter(text string, b *balancing) (err error) {
	word, value, _ := strings.Cut(text, "=")
	switch {
	case b.fixed() && (text == "backup" || word == "slow_start"):
		return fmt.Errorf("balancing method does not support parameter %q: %s knows no server that is asked later, or less", text, b.name)
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

// checkRoute checks the name of a server, which a cookie may hold: RFC 6265 section 4.1.1.
func checkRoute(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`",;\`, c) }) {
		return fmt.Errorf("invalid name %.80q; it has 1 to 64 characters that a cookie may have", name)
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
