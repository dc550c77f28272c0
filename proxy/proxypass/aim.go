package proxypass

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/resolver"
)

// aims are where the requests of a location go whose proxy_pass has variables.
type aims struct {
	value    *proxy.Template
	parse    func(text string) (*target, error)
	blocks   map[string]block   // upstream blocks, by their names in lower case
	others   *Group             // has the connections to servers of no block
	resolver *resolver.Resolver // of names that are no block's; nil: there is none
}

// block is an upstream block: what the configuration says of it, and its Group.
type block struct {
	definition *definition
	group      *Group
}

// lookup is the wait for the addresses of a server that a request has named.
type lookup struct {
	asked  bool
	answer atomic.Pointer[resolver.Answer]
}

const variablesHelp = " The value may have variables. It is computed for each request then; a host in it is the upstream block of that name, an address, or a name that is looked up as resolver says. Of the connections to servers that requests have named, each event loop keeps 32 in all."

// aimsOf returns the aims of the location of s. Any upstream block may be meant.
func (p *protocol) aimsOf(c *settings, all *definitions, s *config.Scope, o Options) (*aims, error) {
	a := &aims{value: c.pass.value, parse: c.pass.parse, blocks: map[string]block{}}
	r := s.Load().Resources
	for _, d := range all.list {
		g, err := groupOf(d, p.name, r, o)
		if err != nil {
			return nil, err
		}
		a.blocks[strings.ToLower(d.name)] = block{d, g}
	}
	var err error
	if a.resolver, err = o.Resolver.Of(s); err != nil {
		return nil, err
	}
	a.others, err = config.Hold(r, "upstreams named by requests, "+p.name, func() (*Group, error) {
		g := newGroup(newDefinition("", c.passPos), p.name, nil, o)
		g.named = true
		return g, nil
	})
	return a, err
}

// aim finds where x's request goes. A host name may still have to be looked up.
func (p *pass) aim(x *proxy.Exchange) error {
	a := p.h.aims
	if a == nil {
		p.target, p.group, p.upstream = p.h.pass, p.h.group, p.h.upstream
		return nil
	}
	text := a.value.String(x)
	if err := x.TakeFault(); err != nil {
		return err
	}
	t, err := a.parse(text)
	switch {
	case err != nil:
		return cannotAim(500, err.Error())
	case wantsTLS(text): // it is never reached without
		return cannotAim(500, fmt.Sprintf("%q is to use TLS, which is not here yet where variables say so", text))
	}
	p.target = t
	if b := a.blocks[strings.ToLower(t.name)]; b.group != nil && !t.addr.ported && t.addr.path == "" {
		p.group, p.upstream = b.group, b.definition
		return nil
	}
	p.group, p.upstream = a.others, a.others.definition
	ip, err := netip.ParseAddr(t.addr.host)
	switch {
	case t.addr.path != "":
		p.roster = rosterFor(a.others, []*peer{a.others.newPeer(t.server(), netip.AddrPort{})})
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

// server is the server of a target that no block has.
func (t *target) server() *server {
	return &server{addr: t.addr, weight: 1, maxFails: 1, failTimeout: 10 * time.Second}
}

// setNamed has the request go to one of these addresses, of which each is the first as
// often as the others.
func (p *pass) setNamed(ips []netip.Addr) {
	sv := p.target.server()
	peers := make([]*peer, len(ips))
	first := rand.IntN(len(ips))
	for i := range ips {
		peers[i] = p.group.newPeer(sv, netip.AddrPortFrom(ips[(first+i)%len(ips)], sv.addr.number()))
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
