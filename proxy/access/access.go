// Package access is nginx's access module: allow and deny.
//
// The rules of a location are tried in the order of the file, and the first one that has the
// client's address decides. If no rule has it, the module does not decide. The address is
// $remote_addr, which realip may have set.
package access

import (
	"fmt"
	"net/netip"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct{ rules config.List[rule] }

// rule is one allow or deny directive.
type rule struct {
	deny   bool
	all    bool
	unix   bool
	prefix netip.Prefix // unless all or unix
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	in := config.AnyLevel | config.LimitExcept
	const syntax = "ADDRESS | CIDR | unix: | all"
	return proxy.Module{
		Name:     "access",
		Settings: k,
		Directives: []config.Directive{
			{Name: "allow", In: in, Args: config.OneArg, Repeat: true, Syntax: syntax, Set: add(k, false),
				Help: "Lets requests in that come from an address, from a range such as 192.0.2.0/24 or 2001:db8::/32, from unix sockets (unix:), or from everywhere (all). Of allow and deny, the first one in the file that has the client's address decides; if none has it, the request is let in. A block with allow or deny does not inherit those of the block around it. See satisfy."},
			{Name: "deny", In: in, Args: config.OneArg, Repeat: true, Syntax: syntax, Set: add(k, true),
				Help: "Answers such requests with 403; see allow. Unless satisfy is any, the refusal is logged as an error."},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if rules := k.In(s).rules.Items(); len(rules) > 0 {
				l.On(proxy.Access, newGate(rules).check)
			}
			return nil
		},
	}
}

func add(k *config.Key[settings], deny bool) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		text := n.Arg(0)
		r := rule{deny: deny, all: text == "all", unix: text == "unix:"}
		if !r.all && !r.unix {
			p, ok := proxy.ReadRange(s.Load(), n.Args[0])
			if !ok {
				return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid parameter %q of %s; it takes an address, a range such as 192.0.2.0/24, \"unix:\" or \"all\"", text, n.Name)}
			}
			r.prefix = p
		}
		k.In(s).rules.Add(s, r)
		return nil
	}
}

// gate is the rules of one location, for each family of addresses.
type gate struct {
	v4, v6 []rangeRule
	unix   error // the result for unix sockets
}

// rangeRule is a rule for a range of addresses of one family.
type rangeRule struct {
	prefix netip.Prefix
	result error
}

func newGate(rules []rule) *gate {
	g := &gate{}
	forbidden, everywhere := proxy.Forbidden(), proxy.Everywhere()
	for _, r := range rules {
		result := proxy.Granted
		if r.deny {
			result = forbidden
		}
		if (r.all || r.unix) && g.unix == nil {
			g.unix = result
		}
		switch {
		case r.all:
			g.v4 = append(g.v4, rangeRule{everywhere[0], result})
			g.v6 = append(g.v6, rangeRule{everywhere[1], result})
		case r.unix:
		case r.prefix.Addr().Is4():
			g.v4 = append(g.v4, rangeRule{r.prefix, result})
		default:
			g.v6 = append(g.v6, rangeRule{r.prefix, result})
		}
	}
	return g
}

// check is the action of the Access phase. As in nginx, an IPv4 address in IPv6 counts as
// IPv4, unless there are only rules for IPv6.
func (g *gate) check(x *proxy.Exchange) error {
	addr, ok := x.RemoteIP()
	if !ok {
		return g.unix
	}
	if addr.Is4In6() && len(g.v4) > 0 {
		addr = addr.Unmap()
	}
	rules := g.v6
	if addr.Is4() {
		rules = g.v4
	}
	for i := range rules {
		if rules[i].prefix.Contains(addr) {
			return rules[i].result
		}
	}
	return nil
}
