package acme

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// reach checks, before an order, whether a name leads to this host. A failed order counts
// against the authority's limits, and its error is less clear.
type reach struct {
	resolver *net.Resolver
	dialer   *net.Dialer
}

// newReach returns a reach that asks the DNS server at addr, HOST:PORT; "": the system's
// servers.
func newReach(addr string) *reach {
	r := &reach{resolver: net.DefaultResolver, dialer: &net.Dialer{Timeout: 15 * time.Second}}
	if addr != "" {
		r.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
		}}
		r.dialer.Resolver = r.resolver
	}
	return r
}

func (r *reach) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return r.dialer.DialContext(ctx, network, addr)
}

// resolveTimeout bounds the look-up of a name.
const resolveTimeout = 15 * time.Second

// check returns an error that says why an authority would not find this host under name. It
// returns nil if it cannot know, behind address translation.
func (r *reach) check(ctx context.Context, name string, c *challenges) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := r.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return fmt.Errorf("%s does not resolve: %s", name, resolveReason(err))
	}
	ours, public := ownAddresses()
	if mayLeadHere(found, ours, public) || r.reflected(ctx, name, c) {
		return nil
	}
	return fmt.Errorf("%s resolves to %s, but this host is %s", name, list(found), list(public))
}

// mayLeadHere reports whether one of the addresses found is this host's. It is also true for
// an address of a family in which this host has no public address: then this host may be
// behind address translation, and cannot know.
func mayLeadHere(found, ours, public []netip.Addr) bool {
	for _, a := range found {
		a = a.Unmap()
		family := func(b netip.Addr) bool { return a.Is4() == b.Is4() }
		if a.IsLoopback() || slices.Contains(ours, a) || !slices.ContainsFunc(public, family) {
			return true
		}
	}
	return false
}

func resolveReason(err error) string {
	if e, ok := err.(*net.DNSError); ok {
		return e.Err
	}
	return err.Error()
}

// reflected sends a request for a token of this host to name. It reports whether the token
// comes back: then a proxy in front of this host passes requests on.
func (r *reach) reflected(ctx context.Context, name string, c *challenges) bool {
	token, answer := rand.Text(), rand.Text()
	c.mu.Lock()
	c.tokens[token] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.tokens, token)
		c.mu.Unlock()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+ChallengePath+token, nil)
	if err != nil {
		return false
	}
	// A redirect may lead to https://, whose certificate is still missing.
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: r.dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	return err == nil && string(body) == answer
}

// ownAddresses returns the addresses of this host's interfaces, and those of them that are
// public.
func ownAddresses() (all, public []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		all = append(all, ip)
		if ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrier.Contains(ip) {
			public = append(public, ip)
		}
	}
	return all, public
}

// carrier is the range for carrier-grade address translation (RFC 6598).
var carrier = netip.MustParsePrefix("100.64.0.0/10")

func list(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.Unmap().String()
	}
	return strings.Join(words, ", ")
}
