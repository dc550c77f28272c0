package proxypass

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/resolver"
)

// naming finds the addresses of a Group's servers whose names are resolved again, for as
// long as the Group lives.
type naming struct {
	group    *Group
	resolver *resolver.Resolver
	names    []*name
	spots    [][]spot // of all servers, in their order
	log      atomic.Pointer[func(text string)]

	begin   sync.Once
	settled chan struct{} // closed once all names were asked for
	ctx     context.Context
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// name is a server with "resolve".
type name struct {
	index    int // of the server
	question resolver.Question
	due      time.Time // when it is asked for again
	failed   bool
}

const (
	// firstAnswers is how long a configuration waits for the answers to its names before it
	// serves.
	firstAnswers = 5 * time.Second
	// askEvery is how long a name is not asked for again, whatever its answer says.
	askEvery = time.Second
)

// namingOf returns what resolves the names of d again; nil where no server wants that. It
// is not begun.
func (d *definition) namingOf(found [][]spot, o Options) (*naming, error) {
	n := &naming{spots: found, settled: make(chan struct{})}
	for i := range d.servers {
		if sv := &d.servers[i]; sv.resolve {
			n.names = append(n.names, &name{index: i, question: sv.question()})
		}
	}
	if n.names == nil {
		return nil, nil
	}
	var err error
	if n.resolver, err = o.Resolver.Of(d.scope); err != nil {
		return nil, err
	}
	if n.resolver == nil {
		pos := d.servers[n.names[0].index].pos
		return nil, &config.Error{Pos: pos, Msg: fmt.Sprintf("no resolver defined to resolve names at run time in upstream %q", d.name)}
	}
	return n, nil
}

// String is what tells whether two configurations resolve names alike.
func (n *naming) String() string {
	if n == nil {
		return ""
	}
	return " by " + n.resolver.String()
}

// question is what name servers are asked for the server.
func (sv *server) question() resolver.Question {
	switch {
	case sv.service == "":
		return resolver.Question{Name: sv.addr.host}
	case strings.Contains(sv.service, "."):
		return resolver.Question{Name: sv.service + "." + sv.addr.host, Service: true}
	}
	return resolver.Question{Name: "_" + sv.service + "._tcp." + sv.addr.host, Service: true}
}

// startNaming begins to resolve the names of g's upstreams, and waits for the first
// answers.
func startNaming(ctx context.Context, g *proxy.Generation) error {
	ctx, cancel := context.WithTimeout(ctx, firstAnswers)
	defer cancel()
	var all []*naming
	g.Resources.Each(func(_ string, v any) {
		if h, ok := v.(*Group); ok && h.naming != nil {
			all = append(all, h.naming)
		}
	})
	for _, n := range all {
		n.start(func(text string) { g.LogTo(proxy.LevelError, text) })
	}
	for _, n := range all {
		select {
		case <-n.settled:
		case <-ctx.Done():
		}
	}
	return nil
}

// start has n resolve its names. What fails is logged by log from now on.
func (n *naming) start(log func(text string)) {
	n.log.Store(&log)
	n.begin.Do(func() { n.done.Go(n.run) })
}

func (n *naming) close() {
	if n == nil {
		return
	}
	n.cancel()
	n.done.Wait()
}

func (n *naming) run() {
	for first := true; n.ctx.Err() == nil; first = false {
		n.resolve(time.Now())
		if first {
			close(n.settled)
		}
		next := slices.MinFunc(n.names, func(a, b *name) int { return a.due.Compare(b.due) })
		t := time.NewTimer(time.Until(next.due))
		select {
		case <-t.C:
		case <-n.ctx.Done():
		}
		t.Stop()
	}
}

// resolve asks for the names that are due, and replaces the peers where they lead
// elsewhere.
func (n *naming) resolve(now time.Time) {
	answers := make([]*resolver.Answer, len(n.names))
	var wg sync.WaitGroup
	for i, name := range n.names {
		if !name.due.After(now) {
			wg.Go(func() { answers[i] = n.resolver.LookUp(n.ctx, name.question) })
		}
	}
	wg.Wait()
	if n.ctx.Err() != nil {
		return
	}
	spots := slices.Clone(n.spots)
	for i, name := range n.names {
		if answers[i] != nil {
			n.take(name, answers[i], spots)
		}
	}
	if !slices.EqualFunc(spots, n.spots, slices.Equal) {
		n.spots = spots
		n.group.replace(n.group.peersAt(spots))
	}
}

// take takes the answer to a name. A name that is known to lead nowhere has no peers; one
// of which name servers say nothing keeps those that it has.
func (n *naming) take(name *name, a *resolver.Answer, spots [][]spot) {
	soon := time.Now().Add(askEvery)
	name.due = soon
	switch {
	case a.Failure == nil:
		if a.Expires.After(soon) {
			name.due = a.Expires
		}
		spots[name.index] = n.group.servers[name.index].spotsOf(a)
	case a.Failure.NoSuchName():
		spots[name.index] = nil
	}
	if failed := a.Failure != nil; failed != name.failed {
		if name.failed = failed; failed {
			(*n.log.Load())(a.Failure.Error())
		}
	}
}

// spot is one address of a server.
type spot struct {
	addr   netip.AddrPort // not valid: that of a unix socket
	weight int            // in place of the server's; 0: that counts
	backup bool           // though the server is none
}

// spotsOf returns the addresses of the server, in an order of their own: that of an answer
// means nothing. Of a service those with the lowest priority come first, and the others
// are backups, which a backup does not have.
func (sv *server) spotsOf(a *resolver.Answer) []spot {
	var spots []spot
	for _, ip := range a.Addrs {
		spots = append(spots, spot{addr: netip.AddrPortFrom(ip, sv.addr.number())})
	}
	first, heaviest := uint16(math.MaxUint16), maxWeight
	for _, s := range a.Services {
		first, heaviest = min(first, s.Priority), max(heaviest, int(s.Weight))
	}
	for _, s := range a.Services {
		at := spot{addr: s.Addr, backup: s.Priority > first}
		if sv.weight == 1 && s.Weight > 0 {
			at.weight = max(int(s.Weight)*maxWeight/heaviest, 1)
		}
		if !at.backup || !sv.backup {
			spots = append(spots, at)
		}
	}
	slices.SortFunc(spots, func(a, b spot) int { return a.addr.Compare(b.addr) })
	return slices.CompactFunc(spots, func(a, b spot) bool { return a.addr == b.addr })
}

// maxWeight is the largest weight of a service's address: name servers have no say in how
// large the table of a hash gets.
const maxWeight = 100
