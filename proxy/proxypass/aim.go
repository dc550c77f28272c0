package proxypass

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/resolver"
)

// aims are the targets that the requests of a location with variables in proxy_pass may have.
type aims struct {
	value    *proxy.Template
	parse    func(text string) (*target, error)
	plain    *groups            // for requests without TLS; nil: there are none
	sealed   *groups            // for requests over TLS; nil: there are none
	resolver *resolver.Resolver // looks up other names; nil: there is none
}

// groups are the Groups that requests may name.
type groups struct {
	blocks map[string]block // upstream blocks, by name in lower case
	others *Group           // has the connections to servers that are in no block
}

// block is an upstream block with its Group.
type block struct {
	definition *definition
	group      *Group
}

// lookup waits for the addresses of a server that a request has named.
type lookup struct {
	asked  bool
	answer atomic.Pointer[resolver.Answer] // nil: it has not come
}

const variablesHelp = " The value may have variables. Then it is computed for each request. A host in it is the upstream block of that name, an address, or a name that is looked up by the name servers of resolver. Each event loop keeps 32 connections to servers that requests have named."

// aimsOf returns the aims of the location of s. A request may name any upstream block. key is
// that of the settings of TLS.
func (p *protocol) aimsOf(c *settings, all *definitions, s *config.Scope, o Options, key string) (a *aims, err error) {
	a = &aims{value: c.pass.value, parse: c.pass.parse}
	if a.resolver, err = o.Resolver.Of(s); err != nil {
		return nil, err
	}
	tls := c.pass.secure && p.secure
	if !wantsTLS(c.pass.text) {
		if a.plain, err = p.groupsOf(c, all, s, o, ""); err != nil {
			return nil, err
		}
	}
	if tls {
		a.sealed, err = p.groupsOf(c, all, s, o, key)
	}
	return a, err
}

// groupsOf returns the Groups that the requests of a location may name, with the same TLS.
func (p *protocol) groupsOf(c *settings, all *definitions, s *config.Scope, o Options, key string) (*groups, error) {
	r := s.Load().Resources
	gs := &groups{blocks: map[string]block{}}
	for _, d := range all.list {
		g, err := groupOf(d, p.name+key, r, o)
		if err != nil {
			return nil, err
		}
		gs.blocks[strings.ToLower(d.name)] = block{d, g}
	}
	var err error
	gs.others, err = config.Hold(r, "upstreams named by requests, "+p.name+key, func() (*Group, error) {
		g := newGroup(newDefinition("", c.passPos), p.name+key, nil, o)
		g.named = true
		return g, nil
	})
	return gs, err
}

// aim finds the target of x's request, and its Group. If the host name must be looked up, aim
// sets p.lookup.
func (p *pass) aim(x *proxy.Exchange) error {
	a := p.h.aims
	if a == nil {
		p.target, p.group, p.upstream, p.security = p.h.pass, p.h.group, p.h.upstream, p.h.secure
		return nil
	}
	text := a.value.String(x)
	if err := x.TakeFault(); err != nil {
		return err
	}
	t, err := a.parse(text)
	if err != nil {
		return cannotAim(500, err.Error())
	}
	gs := a.plain
	if t.secure { // such a server must never be reached without TLS
		gs, p.security = a.sealed, p.h.secure
	}
	p.target = t
	if b := gs.blocks[strings.ToLower(t.name)]; b.group != nil && !t.addr.ported && t.addr.path == "" {
		p.group, p.upstream = b.group, b.definition
		return nil
	}
	p.group, p.upstream = gs.others, gs.others.definition
	ip, err := netip.ParseAddr(t.addr.host)
	switch {
	case t.addr.path != "":
		sv := newServer(t.addr)
		p.roster = rosterFor(gs.others, []*peer{gs.others.newPeer(&sv, netip.AddrPort{})})
	case !t.addr.ported && t.origin == "":
		return cannotAim(500, fmt.Sprintf("no port in upstream %q", t.name))
	case err == nil:
		p.setNamed([]netip.Addr{ip.Unmap()})
	case a.resolver == nil:
		return cannotAim(502, "no resolver defined to resolve "+t.addr.host)
	default:
		p.lookup = &lookup{}
	}
	return nil
}

func cannotAim(status proxy.Status, reason string) error {
	return &proxy.Fail{Status: status, Level: proxy.LevelError, Reason: reason}
}

// setNamed makes a roster of these addresses of the server that the request has named. It
// begins at a random one, so that each is the first equally often.
func (p *pass) setNamed(ips []netip.Addr) {
	sv := newServer(p.target.addr)
	peers := make([]*peer, len(ips))
	first := rand.IntN(len(ips))
	for i := range ips {
		peers[i] = p.group.newPeer(&sv, netip.AddrPortFrom(ips[(first+i)%len(ips)], sv.addr.number()))
	}
	p.roster = rosterFor(p.group, peers)
}

// resolve waits for the addresses of the server that the request has named.
func (p *pass) resolve(x *proxy.Exchange) error {
	l, waker := p.lookup, p.waker
	if !l.asked {
		l.asked = true
		known := p.h.aims.resolver.Ask(resolver.Question{Name: p.target.addr.host}, func(a *resolver.Answer) {
			l.answer.Store(a)
			waker.Wake()
		})
		if known != nil {
			l.answer.Store(known)
		}
	}
	a := l.answer.Load()
	switch {
	case a == nil:
		return errWaits
	case a.Failure != nil:
		return cannotAim(502, a.Failure.Error())
	}
	p.setNamed(a.Addrs)
	p.stage = choosing
	return nil
}
