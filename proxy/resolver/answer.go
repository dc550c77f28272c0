package resolver

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of an answer. The rest is ignored.
const (
	maxAddrs = 256 // addresses
	maxHosts = 64  // hosts of a service
	maxChain = 16  // aliases (CNAME), one behind the other
)

// answer asks q. It does not use the cache.
func (r *Resolver) answer(ctx context.Context, q Question) *Answer {
	if q.Service {
		return r.services(ctx, q.Name)
	}
	addrs, ttl, failure := r.addresses(ctx, q.Name)
	return &Answer{Addrs: addrs, Expires: r.expiry(ttl), Failure: failure}
}

// expiry returns when an answer expires that is valid for ttl seconds, or as valid= says.
func (r *Resolver) expiry(ttl uint32) time.Time {
	if r.valid >= 0 {
		return time.Now().Add(r.valid)
	}
	return time.Now().Add(time.Duration(ttl) * time.Second)
}

// found is the outcome of asking for one type of records.
type found struct {
	records []dns.RR
	ttl     uint32   // seconds
	failure *Failure // nil: there are records
}

// addresses asks for the addresses of both families at the same time. Once one family has
// answered, addresses waits for the other only as long as one try takes: some name servers
// do not answer the question for the other.
func (r *Resolver) addresses(ctx context.Context, host string) (addrs []netip.Addr, ttl uint32, failure *Failure) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var v4, v6 found
	var wg sync.WaitGroup
	ask := func(f *found, kind uint16) {
		wg.Go(func() {
			if *f = r.records(ctx, host, kind); len(f.records) > 0 {
				time.AfterFunc(r.resend, cancel)
			}
		})
	}
	if r.ipv4 {
		ask(&v4, dns.TypeA)
	}
	if r.ipv6 {
		ask(&v6, dns.TypeAAAA)
	}
	wg.Wait()
	ttl = math.MaxUint32
	for _, f := range []found{v4, v6} {
		if len(f.records) > 0 {
			ttl = min(ttl, f.ttl)
		}
		for _, rr := range f.records {
			if ip, ok := addrOf(rr); ok && len(addrs) < maxAddrs && !slices.Contains(addrs, ip) {
				addrs = append(addrs, ip)
			}
		}
		if f.failure != nil && (failure == nil || failure.NoSuchName()) {
			failure = f.failure
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, ttl, nil
	case failure == nil:
		failure = &Failure{host, dns.RcodeNameError}
	}
	failure.name = host // not the alias that has failed
	return nil, 0, failure
}

func addrOf(rr dns.RR) (ip netip.Addr, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		ip, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		ip, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return ip.Unmap(), ok
}

// records asks for the records of name. If the answer has only an alias (CNAME), records asks
// for that.
func (r *Resolver) records(ctx context.Context, name string, kind uint16) found {
	f := found{ttl: math.MaxUint32}
	for range maxChain {
		m, failure := r.ask(ctx, name, kind)
		if failure != nil {
			return found{failure: failure}
		}
		end := f.follow(m, dns.CanonicalName(name), kind)
		switch {
		case len(f.records) > 0:
			return f
		case m.Rcode == dns.RcodeNameError || end == dns.CanonicalName(name):
			return found{failure: &Failure{name, dns.RcodeNameError}}
		}
		name = end
	}
	return found{failure: &Failure{name, dns.RcodeServerFailure}}
}

// follow adds the records that m has for name, or for the last of the aliases that lead on
// from name. It returns the name at which it has ended.
func (f *found) follow(m *dns.Msg, name string, kind uint16) (end string) {
	for range maxChain {
		next := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != name {
				continue
			}
			if h.Rrtype == kind {
				f.records, f.ttl = append(f.records, rr), min(f.ttl, h.Ttl)
			} else if alias, ok := rr.(*dns.CNAME); ok {
				next, f.ttl = dns.CanonicalName(alias.Target), min(f.ttl, h.Ttl)
			}
		}
		if len(f.records) > 0 || next == "" {
			break
		}
		name = next
	}
	return name
}

// services asks for the addresses of a service: RFC 2782. The answer expires with the first
// of its parts.
func (r *Resolver) services(ctx context.Context, name string) *Answer {
	f := r.records(ctx, name, dns.TypeSRV)
	if f.failure != nil {
		f.failure.name = name
		return &Answer{Failure: f.failure}
	}
	hosts := f.records[:min(len(f.records), maxHosts)]
	parts := make([][]netip.Addr, len(hosts))
	ttls := make([]uint32, len(hosts))
	failures := make([]*Failure, len(hosts))
	var wg sync.WaitGroup
	for i, rr := range hosts {
		if target := rr.(*dns.SRV).Target; target != "." && rr.(*dns.SRV).Port != 0 {
			wg.Go(func() { parts[i], ttls[i], failures[i] = r.addresses(ctx, target) })
		}
	}
	wg.Wait()
	a := &Answer{Failure: &Failure{name, dns.RcodeNameError}}
	for i, rr := range hosts {
		srv := rr.(*dns.SRV)
		if len(parts[i]) > 0 {
			f.ttl = min(f.ttl, ttls[i])
		}
		if failures[i] != nil && !failures[i].NoSuchName() {
			a.Failure = failures[i]
		}
		for _, ip := range parts[i] {
			if len(a.Services) < maxAddrs {
				a.Services = append(a.Services, Service{netip.AddrPortFrom(ip, srv.Port), srv.Priority, srv.Weight})
			}
		}
	}
	if len(a.Services) > 0 {
		a.Failure = nil
	}
	a.Expires = r.expiry(f.ttl)
	return a
}
