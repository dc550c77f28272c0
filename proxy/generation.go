package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"alicorn/config"
)

// Generation is one compiled configuration. What a request can reach of it does not change.
type Generation struct {
	Listeners []*Listener
	Servers   []*Server
	locations []*Location // all locations, with servers' own settings and if blocks
	// ErrorLog is the log for messages that belong to no request. The errorlog module sets
	// it.
	ErrorLog  *slog.Logger
	Resources *config.Resources

	remembersBody bool // the configuration names $request_body

	engine  *Engine     // the Engine that serves it; nil before
	awaited atomic.Bool // somebody waits, or has waited, for the end of its requests
	sites   map[*Listener]*listenerSites
	all     []*Site
	orphan  *Site // for connections whose listener this Generation does not have; nil without servers
	starts  []func(ctx context.Context) error
	serves  []func()
	stops   []func(ctx context.Context)
}

// Compile makes a Generation of a configuration that was read. It binds listeners through
// l.Resources. After an error only l.Resources holds something, which the caller releases.
// modules[0] is the core.
func Compile(l *config.Load, main *config.Scope, modules []Module) (*Generation, error) {
	if err := l.Finish(); err != nil {
		return nil, err
	}
	g := &Generation{Resources: l.Resources, sites: map[*Listener]*listenerSites{}}
	c := &compiler{load: l, modules: modules, g: g}
	for _, s := range serverScopes(main) {
		g.Servers = append(g.Servers, c.server(s))
	}
	for _, m := range modules {
		if m.Servers != nil {
			l.FailWith(main.Node.Pos, m.Servers(main, g))
		}
	}
	if err := l.Finish(); err != nil {
		return nil, err
	}
	c.listen()
	for _, m := range modules {
		if m.Generation != nil {
			l.FailWith(main.Node.Pos, m.Generation(main, g))
		}
	}
	if err := l.Finish(); err != nil {
		return nil, err
	}
	for _, sv := range g.Servers {
		sv.locations.index()
	}
	g.remembersBody = registryOf(l).remembersBody
	return g, nil
}

func serverScopes(main *config.Scope) []*config.Scope {
	var out []*config.Scope
	for _, b := range main.Blocks {
		switch b.Node.Name {
		case "server":
			out = append(out, b)
		case "http":
			out = append(out, serverScopes(b)...)
		}
	}
	return out
}

// OnStart adds a function that Start calls. It must succeed before the Generation may
// serve. An example is waiting for a pool to be ready.
func (g *Generation) OnStart(f func(ctx context.Context) error) { g.starts = append(g.starts, f) }

// OnServe adds a function that is called when the Generation begins to answer requests. An
// example is work during which other hosts send it requests. f must return soon.
func (g *Generation) OnServe(f func()) { g.serves = append(g.serves, f) }

// OnStop adds a function that Stop calls, once no request uses the Generation any more.
func (g *Generation) OnStop(f func(ctx context.Context)) { g.stops = append(g.stops, f) }

// Start calls the functions of OnStart at the same time, and waits for them. If some fail,
// it stops the Generation and joins their errors.
func (g *Generation) Start(ctx context.Context) error {
	errs := make([]error, len(g.starts))
	var wg sync.WaitGroup
	for i, f := range g.starts {
		wg.Go(func() { errs[i] = f(ctx) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		g.Stop(ctx)
	}
	return err
}

// Stop calls the functions of OnStop at the same time, and waits for them. When ctx ends,
// they must end at once.
func (g *Generation) Stop(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range g.stops {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
}

// Sites returns the Site of each address.
func (g *Generation) Sites() []*Site { return g.all }

// siteOf returns the Site of the address that c came to. If g does not listen there, that
// is a Site of all servers; nil if g has no server.
func (g *Generation) siteOf(c *Conn) *Site {
	if s := c.site.Load(); s != nil && s.generation == g {
		return s
	}
	site := g.orphan
	if ls := g.sites[c.Listener]; ls != nil {
		site = ls.any
		if s := ls.addr[c.LocalAddr]; s != nil {
			site = s
		}
	}
	c.site.Store(site)
	return site
}

type compiler struct {
	load    *config.Load
	modules []Module
	g       *Generation
}

func (c *compiler) settings(s *config.Scope) *coreSettings { return coreOf(s, c.modules) }

func (c *compiler) server(s *config.Scope) *Server {
	cs := c.settings(s)
	sv := &Server{Pos: s.Node.Pos, Scope: s, Listens: cs.server.listens.Items(), names: cs.server.names.Items(), named: map[string]*Location{}}
	if len(sv.names) > 0 {
		sv.Name = strings.TrimPrefix(sv.names[0].name, ".") // as in nginx: redirects to $server_name need a host
	}
	if len(sv.names) == 0 {
		sv.names = []serverName{{}}
	}
	if len(sv.Listens) == 0 {
		sv.Listens = []*Listen{defaultListen(sv.Pos, cs.port)}
	}
	sv.Root = c.location(s, sv, LocationServer)
	c.nested(s, sv, &sv.locations)
	return sv
}

func (c *compiler) nested(s *config.Scope, sv *Server, into *locations) {
	for _, b := range s.Blocks {
		if b.Node.Name != "location" {
			continue
		}
		l := c.location(b, sv, c.settings(b).location.kind)
		if l.Kind == LocationNamed {
			if other := sv.named[l.Name]; other != nil {
				c.load.Fail(l.Pos, "duplicate location %q; the first is at %s", l.Name, other.Pos)
			}
			sv.named[l.Name] = l
		} else {
			if other := into.duplicate(l); other != nil {
				c.load.Fail(l.Pos, "duplicate location %q; the first is at %s", l.Name, other.Pos)
			}
			into.add(l)
		}
		c.nested(b, sv, &l.tree)
	}
}

func (c *compiler) location(s *config.Scope, sv *Server, kind LocationKind) *Location {
	l := c.newLocation(s, sv, kind)
	c.branch(s, l)
	c.fill(s, l, nil)
	for _, b := range l.branches {
		c.fill(b.scope, b.location, l)
	}
	return l
}

func (c *compiler) newLocation(s *config.Scope, sv *Server, kind LocationKind) *Location {
	cs := c.settings(s)
	l := &Location{Name: cs.location.name, Kind: kind, Pos: s.Node.Pos, Core: &cs.Core, Server: sv, Regex: cs.location.regex}
	if kind == LocationServer {
		l.Name, l.Regex = "", nil
	}
	c.g.locations = append(c.g.locations, l)
	return l
}

// fill calls the modules' Compile for l. outer is the location around an if block or
// limit_except, otherwise nil.
func (c *compiler) fill(s *config.Scope, l, outer *Location) {
	l.giver = c.giver(s, outer)
	for i, m := range c.modules {
		if m.Compile == nil {
			continue
		}
		l.filling = i
		c.load.FailWith(l.Pos, m.Compile(s, l))
		l.inherit(outer)
	}
}

// listen groups the servers by address, and binds the addresses.
func (c *compiler) listen() {
	sites, order := c.sitesByKey()
	opened := map[string]*Listener{}
	for _, key := range order {
		e := sites[key]
		bound := key
		if w := e.listen.wildcard(); w != "" && sites[w] != nil {
			bound = w
		}
		if opened[bound] == nil {
			l, err := c.open(sites[bound].listen)
			if err != nil {
				c.unbound(sites[bound], err)
				continue
			}
			opened[bound] = l
			c.g.Listeners = append(c.g.Listeners, l)
			c.g.sites[l] = &listenerSites{any: sites[bound].site, tuning: sites[bound].listen.Tuning}
		}
		e.site.Listener = opened[bound]
		if bound != key {
			c.specific(c.g.sites[opened[bound]], e)
		}
	}
	if len(order) > 0 {
		c.g.orphan = c.union()
	}
}

// unbound records why an address could not be bound.
func (c *compiler) unbound(e *siteEntry, err error) {
	if !e.listen.Optional {
		c.load.FailWith(e.listen.Pos, err)
		return
	}
	c.load.Warn(e.listen.Pos, "%s", err)
	c.g.all = slices.DeleteFunc(c.g.all, func(s *Site) bool { return s == e.site })
}

type siteEntry struct {
	site     *Site
	listen   *Listen // the listen directive whose options the socket gets
	explicit *Listen // the listen directive with default_server; nil: none
}

func (c *compiler) sitesByKey() (map[string]*siteEntry, []string) {
	sites := map[string]*siteEntry{}
	var order []string
	for _, sv := range c.g.Servers {
		for _, l := range sv.Listens {
			e := sites[l.key()]
			if e == nil {
				e = &siteEntry{site: &Site{Default: sv, generation: c.g}, listen: l}
				sites[l.key()] = e
				order = append(order, l.key())
				c.g.all = append(c.g.all, e.site)
			}
			c.join(e, sv, l)
		}
	}
	return sites, order
}

func (c *compiler) join(e *siteEntry, sv *Server, l *Listen) {
	if l.Default {
		if e.explicit != nil {
			c.load.Fail(l.Pos, "a duplicate default server for %s; the first is at %s", l.Address, e.explicit.Pos)
		}
		e.explicit, e.site.Default = l, sv
	}
	if !l.bare() {
		if !e.listen.bare() && e.listen != l {
			c.load.Fail(l.Pos, "duplicate listen options for %s; the first are at %s", l.Address, e.listen.Pos)
		}
		e.listen = l
	}
	e.site.SSL = e.site.SSL || l.SSL
	switch p := &e.site.ProxyProtocol; {
	case p.IsZero():
		*p = l.ProxyProtocol
	case !l.ProxyProtocol.IsZero() && !p.equals(&l.ProxyProtocol):
		c.load.Fail(l.Pos, "%s has another proxy_protocol or proxy_protocol_from by an earlier listen", l.Address)
	}
	e.site.Servers = append(e.site.Servers, sv)
	for _, name := range e.site.names.add(sv) {
		c.load.Warn(l.Pos, "conflicting server name %q on %s, ignored", name, l.Address)
	}
}

func (c *compiler) open(l *Listen) (*Listener, error) {
	key := fmt.Sprintf("listen %s reuseport=%v", l.key(), l.Options.ReusePort)
	return config.HoldFresh(c.load.Resources, key, (*Listener).Unreachable, func() (*Listener, error) {
		return openListener(c.load.Resources.Host, key, l.Network, l.Address, l.Options)
	})
}

func (c *compiler) specific(ls *listenerSites, e *siteEntry) {
	host, _, err := net.SplitHostPort(e.listen.Address)
	if err != nil {
		return
	}
	if ls.addr == nil {
		ls.addr = map[string]*Site{}
	}
	ls.addr[host] = e.site
}

// union returns the Site for connections that outlive their listener. It has all servers by
// name; the default one is that of the first address.
func (c *compiler) union() *Site {
	u := &Site{generation: c.g, Default: c.g.all[0].Default, Servers: c.g.Servers}
	for _, sv := range c.g.Servers {
		u.names.add(sv)
	}
	return u
}
