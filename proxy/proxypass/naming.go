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

// naming looks up the names of a Group's servers with resolve, as long as the Group lives.
type naming struct {
	group    *Group
	resolver *resolver.Resolver
	names    []*name
	spots    [][]spot // of all servers, in their order
	log      atomic.Pointer[func(text string)]

	begin   sync.Once
	settled chan struct{} // closed once all names were looked up for the first time
	ctx     context.Context
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// name is a server with "resolve".
type name struct {
	index    int // of the server
	question resolver.Question
	due      time.Time              // when it is looked up again
	failure  atomic.Pointer[string] // why the last lookup has failed; nil: it has not
}

const (
	// firstAnswers is how long a new configuration waits for the first answers before it
	// serves.
	firstAnswers = 5 * time.Second
	// askEvery is the least time between two lookups of a name.
	askEvery = time.Second
)

// namingOf returns the naming of d, which is not started; nil: no server has resolve.
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

// String returns the settings of the lookups. "" for a nil naming.
func (n *naming) String() string {
	if n == nil {
		return ""
	}
	return " by " + n.resolver.String()
}

// failures returns why the last lookups have failed, of the names of which they have.
func (n *naming) failures() (all []string) {
	if n == nil {
		return nil
	}
	for _, name := range n.names {
		if why := name.failure.Load(); why != nil {
			all = append(all, *why)
		}
	}
	return all
}

// question returns the question that name servers are asked for the server.
func (sv *server) question() resolver.Question {
	switch {
	case sv.service == "":
		return resolver.Question{Name: sv.addr.host}
	case strings.Contains(sv.service, "."):
		return resolver.Question{Name: sv.service + "." + sv.addr.host, Service: true}
	}
	return resolver.Question{Name: "_" + sv.service + "._tcp." + sv.addr.host, Service: true}
}

// startNaming starts looking up the names of g's upstreams, and waits for the first answers,
// at most for firstAnswers.
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

// start makes n look up its names. From now on failures go to log.
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

// resolve looks up the names that are due, and replaces the peers if addresses have changed.
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

// take takes the answer to a name. A name that does not exist has no addresses. If name servers
// fail, the name keeps its addresses.
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
	if a.Failure == nil {
		name.failure.Store(nil)
		return
	}
	why := a.Failure.Error()
	if name.failure.Swap(&why) == nil { // logged once, until a lookup succeeds
		(*n.log.Load())(why)
	}
}

// spot is one address of a server.
type spot struct {
	addr   netip.AddrPort // the zero AddrPort: a unix socket
	weight int            // used in place of the server's weight; 0: the server's
	backup bool           // the address is a backup, even if the server is not
}

// spotsOf returns the addresses of the server, sorted, because their order in an answer has no
// meaning. Addresses of a service without the lowest priority are backups. A backup server
// leaves those out.
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

// maxWeight is the largest weight of a service's address. Larger weights are scaled down, so
// that an answer cannot make the table of a ring too large.
const maxWeight = 100
