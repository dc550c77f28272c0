package proxypass

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy/eventloop"
)

// Group has the servers of an upstream block, or the server of a proxy_pass, with the
// connections to them.
type Group struct {
	*definition
	protocol string
	naming   *naming // nil: no name is looked up again
	serves   bool    // a configuration with the Group serves
	named    bool    // the Group has no peers: requests name their servers
	lanes    []lane  // one for each loop; without loops there is one
	loops    *eventloop.Group
	// surplus is how long a lane keeps connections beyond the number of keepalive. A loop
	// reads many answers in one turn, and the requests of its next turn need their
	// connections. If these were closed at once, most requests under load would have to
	// connect.
	surplus time.Duration
	method  method

	mu       sync.Mutex
	peers    []*peer
	checkers []*checker
}

const surplusTime = 100 * time.Millisecond

// peer is one address of a server.
type peer struct {
	*server
	name     string // as in $upstream_addr: "127.0.0.1:8000", "unix:/run/app.sock"
	sockaddr unix.Sockaddr
	share    int          // the weight, times slowUnit if the group has slow_start
	sid      string       // its name for sticky: the route, or a hash of the address
	gone     atomic.Bool  // the server's name does not have this address any more
	sick     atomic.Int32 // the number of health checks that have failed
}

// groupOf returns the Group of d for a protocol. If the configuration before has the same
// Group, groupOf returns that one. Each protocol has its own, as another one cannot use the
// connections.
func groupOf(d *definition, protocol string, r *config.Resources, o Options) (*Group, error) {
	d.used = true
	found, err := d.lookUp(r.Host)
	if err != nil {
		return nil, err
	}
	n, err := d.namingOf(found, o)
	if err != nil {
		return nil, err
	}
	peers := d.peersAt(found)
	key := "upstream " + protocol + " " + d.String() + n.String()
	for _, p := range peers {
		key += " " + p.name
	}
	return config.Hold(r, key, func() (*Group, error) {
		g := newGroup(d, protocol, peers, o)
		if n != nil {
			g.naming, n.group = n, g
			n.ctx, n.cancel = context.WithCancel(context.Background())
		}
		return g, nil
	})
}

func newGroup(d *definition, protocol string, peers []*peer, o Options) *Group {
	g := &Group{definition: d, protocol: protocol, peers: peers, loops: o.Loops, surplus: cmp.Or(o.surplus, surplusTime), method: d.balance.method(peers)}
	g.lanes = make([]lane, max(o.Loops.Loops(), 1))
	var all *roster // of all lanes
	if d.sharesRoster() {
		all = newRoster(g)
	}
	for i := range g.lanes {
		l := &g.lanes[i]
		if l.group, l.roster = g, all; all == nil {
			l.roster = newRoster(g)
		}
	}
	return g
}

// lookUp finds the addresses of the servers, except those with resolve.
func (d *definition) lookUp(h config.Host) ([][]spot, error) {
	found := make([][]spot, len(d.servers))
	for i := range d.servers {
		sv := &d.servers[i]
		switch {
		case sv.addr.path != "":
			found[i] = []spot{{}}
			continue
		case sv.resolve:
			continue
		}
		ips, err := lookUp(h, sv.addr.host)
		if err != nil {
			return nil, &config.Error{Pos: sv.pos, Msg: fmt.Sprintf("host not found in upstream %q: %s", sv.addr.written(), err)}
		}
		for _, ip := range ips {
			found[i] = append(found[i], spot{addr: netip.AddrPortFrom(ip, sv.addr.number())})
		}
	}
	return found, nil
}

// peersAt returns the peers at these addresses of each server.
func (d *definition) peersAt(found [][]spot) []*peer {
	var peers []*peer
	for i := range d.servers {
		for _, at := range found[i] {
			sv := &d.servers[i]
			if at.weight > 0 || at.backup {
				own := *sv
				own.weight, own.backup = cmp.Or(at.weight, sv.weight), sv.backup || at.backup
				sv = &own
			}
			peers = append(peers, d.newPeer(sv, at.addr))
		}
	}
	return peers
}

// slowUnit is the share of a weight of 1 in groups with slow_start, which needs parts of it.
const slowUnit = 100

// newPeer returns the peer at an address of a server. The zero address is for the server's
// unix socket.
func (d *definition) newPeer(sv *server, at netip.AddrPort) *peer {
	p := &peer{server: sv, name: at.String(), share: sv.weight, sid: sv.route}
	switch {
	case !at.IsValid():
		p.name, p.sockaddr = sv.addr.String(), &unix.SockaddrUnix{Name: sv.addr.path}
	case at.Addr().Is4():
		p.sockaddr = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	default:
		p.sockaddr = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	if d.startsSlowly() {
		p.share *= slowUnit
	}
	if p.sid == "" {
		p.sid = sidOf(strings.TrimPrefix(p.name, "unix:"))
	}
	return p
}

func lookUp(h config.Host, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	return h.LookUp(host)
}

// current returns the present peers. The caller must not change the slice.
func (g *Group) current() []*peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers
}

// replace makes new requests go to these peers. A peer that there was before keeps its state
// and its connections. Kept connections to the other peers before are closed.
func (g *Group) replace(peers []*peer) {
	g.mu.Lock()
	before := g.peers
	for i, p := range peers {
		if j := slices.IndexFunc(before, p.isLike); j >= 0 {
			peers[i] = before[j]
		}
	}
	g.peers = peers
	checkers := g.checkers
	g.mu.Unlock()
	for _, c := range checkers {
		c.meet() // before the new peers get requests: see mandatory
	}
	method := g.balance.method(peers)
	for i := range g.lanes {
		g.lanes[i].roster.replace(peers, method)
	}
	for _, p := range before {
		if slices.Contains(peers, p) {
			continue
		}
		p.gone.Store(true)
		for i := range g.lanes {
			g.lanes[i].closeTo(p)
		}
	}
}

// isLike reports whether two peers are the same address with the same settings.
func (p *peer) isLike(o *peer) bool {
	return p.name == o.name && p.weight == o.weight && p.backup == o.backup && p.sid == o.sid
}

// Close ends health checks and lookups of names, and closes kept connections. Connections in
// use are closed once they are free.
func (g *Group) Close() error {
	g.naming.close()
	g.stopChecks()
	for i := range g.lanes {
		g.lanes[i].close()
	}
	return nil
}

// laneOf returns the lane for connections of l; the first lane if l is nil.
func (g *Group) laneOf(l *eventloop.Loop) *lane {
	if l == nil {
		return &g.lanes[0]
	}
	return &g.lanes[l.Index()]
}
