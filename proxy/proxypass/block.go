package proxypass

import (
	"fmt"
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

	keep         int // kept connections of each lane; 0: none
	keepTimeout  time.Duration
	keepTime     time.Duration
	keepRequests int
}

// server is one server directive.
type server struct {
	addr        address
	pos         config.Pos
	weight      int
	maxFails    int // 0: it never counts as failed
	failTimeout time.Duration
	down        bool
	backup      bool
}

// blockSettings are what a block knows of upstream blocks.
type blockSettings struct {
	group *definition // of this very upstream block
	all   *definitions
}

type blockKey = config.Key[blockSettings]

func newBlockKey() *blockKey {
	k := config.NewKey(func() blockSettings { return blockSettings{all: &definitions{}} })
	k.Enter = func(s *config.Scope, c *blockSettings) { c.group = nil }
	k.Leave = func(s *config.Scope, c *blockSettings) error {
		if c.group == nil {
			return nil
		}
		return c.group.complete()
	}
	return k
}

// definitions are the upstream blocks of one configuration.
type definitions struct{ list []*definition }

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
	return &definition{name: name, pos: pos, keep: 32, keepTimeout: time.Minute, keepTime: time.Hour, keepRequests: 1000}
}

// single is the definition of a proxy_pass that names a server itself.
func single(t *target, pos config.Pos) *definition {
	d := newDefinition(t.addr.String(), pos)
	d.servers = []server{{addr: t.addr, pos: pos, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}}
	return d
}

// String is what tells whether a group can serve another configuration.
func (d *definition) String() string {
	return fmt.Sprintf("%s %+v %d %s %s %d", d.name, d.essence(), d.keep, d.keepTimeout, d.keepTime, d.keepRequests)
}

// essence is the servers without their places in the file.
func (d *definition) essence() []server {
	servers := slices.Clone(d.servers)
	for i := range servers {
		servers[i].pos = config.Pos{}
	}
	return servers
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
		if other := c.all.find(n.Arg(0)); other != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("upstream %q is duplicate; the first is at %s", n.Arg(0), other.pos)}
		}
		c.all.list = append(c.all.list, c.group)
		return nil
	}
}

// laterParameters are nginx's parameters of server that are not here.
var laterParameters = []string{"max_conns", "resolve", "route", "service", "slow_start", "drain"}

// addServer adds a server, also one with a mistake: the block is not without servers.
func addServer(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		sv := server{pos: n.Args[0].Pos, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}
		d := k.In(s).group
		defer func() { d.servers = append(d.servers, sv) }()
		if sv.addr, err = parseAddress(n.Arg(0)); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "server: " + err.Error()}
		}
		for _, a := range n.Args[1:] {
			if err := sv.parameter(a.Text); err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
		}
		return nil
	}
}

// parameter reads one parameter of server.
func (sv *server) parameter(text string) (err error) {
	word, value, _ := strings.Cut(text, "=")
	switch {
	case text == "down":
		sv.down = true
	case text == "backup":
		sv.backup = true
	case word == "weight":
		sv.weight, err = config.ParseInt(value, 1, 65535)
	case word == "max_fails":
		sv.maxFails, err = config.ParseInt(value, 0, 1<<30)
	case word == "fail_timeout":
		sv.failTimeout, err = config.ParseTime(value)
	case slices.Contains(laterParameters, word):
		return fmt.Errorf("nginx's parameter %q of server is not here yet", word)
	default:
		return fmt.Errorf("invalid parameter %q of server; it takes weight=N, max_fails=N, fail_timeout=TIME, down and backup", text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", word, err)
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
