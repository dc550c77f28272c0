package geo

import (
	"cmp"
	"net/netip"
	"slices"

	"alicorn/config"
	"alicorn/proxy"
)

// networks are the networks of a block. find takes one step for each length of network that
// the block has, from the longest.
type networks struct {
	values  map[netip.Prefix]*proxy.Template
	lengths [2][]int // of IPv4 and IPv6, longest first
}

func (ns *networks) add(l *config.Load, ln line) error {
	if ln.other {
		for _, p := range proxy.Everywhere() {
			ns.put(l, ln, p)
		}
		return nil
	}
	p, err := network(l, config.Arg{Text: ln.name, Pos: ln.pos})
	switch {
	case err != nil:
		return err
	case !ln.deletes:
		ns.put(l, ln, p)
	case ns.values[p] == nil:
		l.Warn(ln.pos, "no network %q to delete", ln.name)
	default:
		delete(ns.values, p)
	}
	return nil
}

func (ns *networks) put(l *config.Load, ln line, p netip.Prefix) {
	if ns.values == nil {
		ns.values = map[netip.Prefix]*proxy.Template{}
	}
	if old := ns.values[p]; old != nil {
		warnOfTwo(l, "network", ln, old)
	}
	ns.values[p] = ln.value
}

// warnOfTwo warns that a line replaces an earlier one.
func warnOfTwo(l *config.Load, what string, ln line, old *proxy.Template) {
	was, _ := old.Static()
	is, _ := ln.value.Static()
	l.Warn(ln.pos, "duplicate %s %q, value: %q, old value: %q", what, ln.name, is, was)
}

// sort fills lengths, once all networks are known.
func (ns *networks) sort() {
	for p := range ns.values {
		if of := ns.lengthsOf(p.Addr()); !slices.Contains(*of, p.Bits()) {
			*of = append(*of, p.Bits())
		}
	}
	for i := range ns.lengths {
		slices.SortFunc(ns.lengths[i], func(a, b int) int { return cmp.Compare(b, a) })
	}
}

func (ns *networks) lengthsOf(addr netip.Addr) *[]int {
	if addr.Is4() {
		return &ns.lengths[0]
	}
	return &ns.lengths[1]
}

// none is the value of an address that is in no network, in a block without default.
var none = proxy.Template{}

// find returns the value of the longest network that has addr.
func (ns *networks) find(addr netip.Addr) *proxy.Template {
	for _, bits := range *ns.lengthsOf(addr) {
		p, _ := addr.Prefix(bits)
		if v := ns.values[p]; v != nil {
			return v
		}
	}
	return &none
}
