package proxypass

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy/eventloop"
)

// Group is the servers of an upstream block, or the one of a proxy_pass, with the
// connections to them.
type Group struct {
	*definition
	protocol string
	peers    []*peer
	lanes    []lane // one for each loop; one in all without loops
	loops    *eventloop.Group
	// surplus is how long a connection above the number of those to keep waits for another
	// request. A loop reads many answers in one turn, and the requests of its next turn need
	// their connections: were these closed at once, most requests would connect under load.
	surplus time.Duration
	method  method
}

const surplusTime = 100 * time.Millisecond

// peer is one address of a server.
type peer struct {
	*server
	name     string // as $upstream_addr has it: "127.0.0.1:8000", "unix:/run/app.sock"
	sockaddr unix.Sockaddr
	share    int    // weight, in the unit of the group's turns
	sid      string // whom sticky names: route, or what stands for the address
}

// groupOf returns the Group that d describes for a protocol, the one of the configuration
// before where that has described the same. Connections of one protocol are of no use to
// another.
func groupOf(d *definition, protocol string, r *config.Resources, o Options) (*Group, error) {
	peers, err := d.resolve(r.Host)
	if err != nil {
		return nil, err
	}
	key := "upstream " + protocol + " " + d.String()
	for _, p := range peers {
		key += " " + p.name
	}
	return config.Hold(r, key, func() (*Group, error) {
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
		return g, nil
	})
}

// resolve finds the addresses of the servers.
func (d *definition) resolve(h config.Host) ([]*peer, error) {
	var peers []*peer
	for i := range d.servers {
		sv := &d.servers[i]
		if sv.addr.path != "" {
			peers = append(peers, d.newPeer(sv, sv.addr.String(), &unix.SockaddrUnix{Name: sv.addr.path}))
			continue
		}
		found, err := lookUp(h, sv.addr.host)
		if err != nil {
			return nil, &config.Error{Pos: sv.pos, Msg: fmt.Sprintf("cannot find the addresses of %q: %s", sv.addr.host, err)}
		}
		port, _ := config.ParseInt(sv.addr.port, 1, 65535)
		for _, ip := range found {
			peers = append(peers, d.newPeer(sv, netip.AddrPortFrom(ip, uint16(port)).String(), sockaddrOf(ip, port)))
		}
	}
	return peers, nil
}

// slowUnit is the share of a weight of 1 in groups with slow_start, where parts of it count.
const slowUnit = 100

func (d *definition) newPeer(sv *server, name string, sockaddr unix.Sockaddr) *peer {
	p := &peer{server: sv, name: name, sockaddr: sockaddr, share: sv.weight, sid: sv.route}
	if d.startsSlowly() {
		p.share *= slowUnit
	}
	if p.sid == "" {
		p.sid = sidOf(strings.TrimPrefix(name, "unix:"))
	}
	return p
}

func lookUp(h config.Host, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	return h.LookUp(host)
}

func sockaddrOf(ip netip.Addr, port int) unix.Sockaddr {
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
}

// Close closes the connections that are kept. Those in use are closed once they are free.
func (g *Group) Close() error {
	for i := range g.lanes {
		g.lanes[i].close()
	}
	return nil
}

// laneOf returns the lane for connections in l; the first where l is nil.
func (g *Group) laneOf(l *eventloop.Loop) *lane {
	if l == nil {
		return &g.lanes[0]
	}
	return &g.lanes[l.Index()]
}

// tries returns how many peers a request may be sent to, at least one.
func (g *Group) tries() int {
	n := 0
	for _, p := range g.peers {
		if !p.down {
			n++
		}
	}
	return max(n, 1)
}
