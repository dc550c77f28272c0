// Package realip is nginx's realip module. It finds the address of a client behind a proxy,
// which the proxy sends.
//
// The directives of a server apply in the post-read phase, before any other rule; those of a
// location apply in the preaccess phase, before limits. The address is replaced at most once
// for a request. The new one belongs to the Exchange, since the requests of one connection
// may come from different clients. $remote_addr, $remote_port and $binary_remote_addr have
// it, and so have limits, logs, and REMOTE_ADDR of applications. $realip_remote_addr stays
// the address of the connection's peer. It decides whether X-Forwarded-Proto and the like
// are trusted (forwarded_allow_ips).
//
// A list of addresses is read from its end, which the nearest proxy wrote, up to
// the first entry that is not an address.
package realip

import (
	"net/netip"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	trusted   config.List[trusted]
	source    source
	recursive bool
}

// trusted is one set_real_ip_from directive.
type trusted struct {
	prefixes proxy.Prefixes // a host name may have several
	unix     bool
}

// source is real_ip_header: what has the client's address.
type source struct {
	id            proxy.FieldID
	field         string
	proxyProtocol bool
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{source: source{field: "X-Real-IP"}} })
	return proxy.Module{
		Name:       "realip",
		Settings:   k,
		Directives: directives(k),
		Variables: []proxy.Variable{
			{Name: "realip_remote_addr", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) { return append(dst, x.Conn.RemoteAddr...), true }},
			{Name: "realip_remote_port", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) { return append(dst, x.Conn.RemotePort...), true }},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			from := c.trusted.Items()
			if len(from) == 0 {
				return nil
			}
			r := &replacer{source: c.source}
			r.proxies.Recursive = c.recursive
			for _, t := range from {
				r.proxies.Trusted, r.unix = append(r.proxies.Trusted, t.prefixes...), r.unix || t.unix
			}
			if l.Kind == proxy.LocationServer {
				l.On(proxy.PostRead, r.replace)
			} else {
				l.On(proxy.PreAccess, r.replace)
			}
			return nil
		},
	}
}

// replacer finds the client's address for the requests of one location.
type replacer struct {
	proxies proxy.Forwarded
	unix    bool
	source  source
}

// replace sets x.Remote if the connection's peer is trusted and has sent an address. It does
// so once for a request.
func (r *replacer) replace(x *proxy.Exchange) error {
	if x.Remote == nil && r.trustsPeer(x.Conn) {
		if client, ok := r.client(x); ok {
			x.Remote = proxy.NewRemote(client)
		}
	}
	return nil
}

func (r *replacer) trustsPeer(c *proxy.Conn) bool {
	if addr, ok := c.RemoteIP(); ok {
		return r.proxies.Trusts(addr)
	}
	return r.unix && strings.HasPrefix(c.RemoteAddr, "unix:")
}

// client returns the address in the source. The peer is trusted.
func (r *replacer) client(x *proxy.Exchange) (client netip.AddrPort, ok bool) {
	switch {
	case r.source.proxyProtocol:
		if h := x.Conn.ProxyProtocol; h != nil {
			return h.Source, true
		}
		return client, false
	case r.source.id != proxy.FieldXForwardedFor:
		client, _ = r.proxies.Walk(client, x.Req.Header.Get(r.source.field))
		return client, client.IsValid()
	}
	client = r.proxies.Client(&x.Req.Header, client)
	return client, client.IsValid()
}
