// Package geo is nginx's geo module: a variable whose value depends on an address.
//
// The value is that of the longest network that has the address, or, in a block with
// ranges, that of the range. As in nginx, a client on a unix socket, and a text that is not
// an address, have the value of the network 255.255.255.255.
package geo

import (
	"fmt"
	"net/netip"
	"unsafe"

	"alicorn/config"
	"alicorn/proxy"
)

// Module returns the feature.
func Module() proxy.Module {
	return proxy.Module{Name: "geo", Directives: []config.Directive{
		{Name: "geo", In: config.HTTP, Block: true, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Set: set,
			Syntax: "[$ADDRESS] $VARIABLE { [ranges;] [volatile;] [default VALUE;] [proxy CIDR;] [proxy_recursive;] NETWORK VALUE; [delete NETWORK;] ... }",
			Help:   "Makes a variable whose value depends on an address: the client's, or the one in $ADDRESS. Each line has a network (192.0.2.0/24, 2001:db8::/32, or one address) and its value, which has no variables. The longest network that has the address counts. default is the value for all other addresses; without it that is the empty text. 255.255.255.255 is the value for a text that is not an address, and for clients on unix sockets. A network that is in several lines has the last value, with a warning. delete removes a network. With ranges, which must be the first line, the other lines have ranges of IPv4 addresses such as 192.0.2.1-192.0.2.9; a range may be inside an earlier one. proxy names networks of proxies: for a client in them the last address of X-Forwarded-For counts, and with proxy_recursive the last address that is not in them. include reads lines from a file. A request finds the value once; with volatile, each time that it is read."},
	}}
}

// geo is one geo block.
type geo struct {
	address  *proxy.Template // nil: the client's address
	networks networks
	ranges   *ranges // nil: the block has networks
	proxies  proxy.Forwarded
	volatile bool
	begun    bool                       // a line with a network or a range was read
	values   map[string]*proxy.Template // the values so far, by text
}

// nobody is the address of a client without one, and of a text that is not an address.
func nobody() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

func set(s *config.Scope, n *config.Node) error {
	l, g, variable := s.Load(), &geo{values: map[string]*proxy.Template{}}, n.Args[len(n.Args)-1]
	name, err := proxy.VariableName(variable.Text)
	if err == nil && len(n.Args) == 2 {
		if _, err = proxy.VariableName(n.Arg(0)); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
		}
		g.address = proxy.ParseTemplate(l, n.Args[0].Pos, n.Arg(0))
	}
	if err != nil {
		return &config.Error{Pos: variable.Pos, Msg: err.Error()}
	}
	for _, line := range n.Children {
		l.FailWith(line.Pos, g.add(l, line))
	}
	g.values = nil
	g.networks.sort()
	if err := proxy.DefineRule(l, variable.Pos, name, !g.volatile, g.find); err != nil {
		return &config.Error{Pos: variable.Pos, Msg: err.Error()}
	}
	return nil
}

// add reads a line of the block.
func (g *geo) add(l *config.Load, n *config.Node) error {
	switch {
	case n.Block:
		return fmt.Errorf("unexpected block in geo; a line is a network and a value")
	case len(n.Args) == 0:
		return g.addWord(n.Name)
	case len(n.Args) > 1:
		return fmt.Errorf("a line of geo has %d words; it is a network and a value", len(n.Args)+1)
	case n.Name == "proxy":
		p, err := network(l, n.Args[0])
		g.proxies.Trusted = append(g.proxies.Trusted, p)
		return err
	}
	g.begun = true
	line := line{name: n.Arg(0), pos: n.Pos}
	switch n.Name {
	case "delete":
		line.name, line.deletes = n.Args[0].Text, true
	case "default":
		line.name, line.other, line.value = n.Name, true, g.value(n.Arg(0))
	default:
		line.name, line.value = n.Name, g.value(n.Arg(0))
	}
	if g.ranges != nil {
		return g.ranges.add(l, line)
	}
	return g.networks.add(l, line)
}

// addWord reads a line of one word.
func (g *geo) addWord(word string) error {
	switch {
	case word == "ranges" && g.begun:
		return fmt.Errorf("the \"ranges\" directive must be the first directive inside \"geo\" block")
	case word == "ranges":
		g.ranges = &ranges{}
	case word == "proxy_recursive":
		g.proxies.Recursive = true
	case word == "volatile":
		g.volatile = true
	default:
		return fmt.Errorf("invalid line %q of geo; it is a network and a value, or one of ranges, proxy_recursive and volatile", word)
	}
	return nil
}

// line is a line with a network or a range, or default.
type line struct {
	name    string
	pos     config.Pos
	other   bool // default
	deletes bool // delete
	value   *proxy.Template
}

// value returns the Template of a text. Equal texts share one: a large file has few values.
func (g *geo) value(text string) *proxy.Template {
	if g.values[text] == nil {
		g.values[text] = proxy.FixedTemplate(text)
	}
	return g.values[text]
}

// network reads an address, or a network such as 192.0.2.0/24.
func network(l *config.Load, a config.Arg) (netip.Prefix, error) {
	if a.Text == nobody().String() {
		return netip.PrefixFrom(nobody(), 32), nil
	}
	p, ok := proxy.ReadRange(l, a)
	if !ok {
		return p, fmt.Errorf("invalid network %q; it is an address, or a range such as 192.0.2.0/24 or 2001:db8::/32", a.Text)
	}
	return p, nil
}

// find is the Rule of the variable.
func (g *geo) find(x *proxy.Exchange, scratch []byte) (*proxy.Template, error) {
	addr := g.addressOf(x, scratch)
	if g.ranges != nil {
		return g.ranges.find(addr), nil
	}
	return g.networks.find(addr), nil
}

// addressOf returns the address that counts. An IPv4 address in IPv6 becomes IPv4.
func (g *geo) addressOf(x *proxy.Exchange, scratch []byte) netip.Addr {
	addr, ok := x.RemoteIP()
	if g.address != nil {
		text := g.address.Append(x, scratch)[len(scratch):]
		addr, ok = proxy.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text)))
	}
	if !ok {
		return nobody()
	}
	if len(g.proxies.Trusted) > 0 {
		addr = g.proxies.Client(&x.Req.Header, netip.AddrPortFrom(addr, 0)).Addr()
	}
	return addr.Unmap()
}
