package realip

import (
	"fmt"
	"net/netip"

	"alicorn/config"
	"alicorn/proxy"
)

func directives(k *config.Key[settings]) []config.Directive {
	return []config.Directive{
		{Name: "set_real_ip_from", In: config.AnyLevel, Args: config.OneArg, Repeat: true, Set: setFrom(k),
			Syntax: "ADDRESS | CIDR | HOST | unix:",
			Help:   "A trusted proxy, which sends the address of its client in real_ip_header: an address, a range such as 192.0.2.0/24, all addresses that a host name has when the configuration is read, or with unix: all peers on unix sockets. The client's address then replaces the proxy's in $remote_addr, $remote_port and $binary_remote_addr, in limits and logs, and in REMOTE_ADDR of applications. $realip_remote_addr stays the proxy's. A block with set_real_ip_from does not inherit those of the block around it. forwarded_allow_ips, not this directive, says which peers may set X-Forwarded-Proto and the like for an application; it uses $realip_remote_addr."},
		{Name: "real_ip_header", In: config.AnyLevel, Args: config.OneArg, Default: "X-Real-IP", Set: setHeader(k),
			Syntax: "FIELD | X-Forwarded-For | X-Real-IP | proxy_protocol",
			Help:   "What has the address of a trusted proxy's client: a field of the request's header, or with proxy_protocol the PROXY protocol's header at the beginning of the connection. A field may have several addresses, with or without ports; the last one counts. Several lines of X-Forwarded-For are one list; of any other field only the first line counts."},
		{Name: "real_ip_recursive", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.recursive }),
			Help: "With on, the last address of real_ip_header that is not a trusted proxy's counts, or the first one if all are. With off the last one counts."},
	}
}

func setFrom(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		text := n.Arg(0)
		t := trusted{unix: text == "unix:"}
		if !t.unix {
			var err error
			var exact bool
			if t.prefixes, exact, err = parseFrom(s.Load().Resources.Host, text); err != nil {
				return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
			}
			if !exact {
				s.Load().Warn(n.Args[0].Pos, "low address bits of %q are meaningless; it is read as %q", text, t.prefixes[0])
			}
		}
		k.In(s).trusted.Add(s, t)
		return nil
	}
}

// parseFrom reads an address, a range or a host name. exact is false for a range whose
// address has bits set beyond the prefix.
func parseFrom(h config.Host, text string) (prefixes proxy.Prefixes, exact bool, err error) {
	if p, exact, ok := proxy.ParseRange(text); ok {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return proxy.Prefixes{p}, exact, nil
	}
	found, err := h.LookUp(text)
	if err != nil {
		return nil, false, fmt.Errorf("host not found in set_real_ip_from %q; it takes an address, a range such as 192.0.2.0/24, a host name or \"unix:\"", text)
	}
	for _, addr := range found {
		prefixes = append(prefixes, proxy.PrefixOf(addr))
	}
	return prefixes, true, nil
}

// setHeader is the Setter of real_ip_header. The case of a field's name does not matter.
func setHeader(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name := n.Arg(0)
		if !proxy.IsToken(name) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid real_ip_header %q; it is the name of a header field, or \"proxy_protocol\"", name)}
		}
		k.In(s).source = source{id: proxy.FieldIDOf(name), field: name, proxyProtocol: name == "proxy_protocol"}
		return nil
	}
}
