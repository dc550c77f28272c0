package proxy

import "net/netip"

// Prefixes are ranges of addresses, as directives name peers that are trusted.
type Prefixes []netip.Prefix

// Everywhere returns the range of all IPv4 addresses and that of all IPv6 addresses.
func Everywhere() Prefixes {
	return Prefixes{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// ParsePrefix reads an address or a range of addresses such as 192.0.2.0/24. An
// IPv4 address in IPv6 is the IPv4 address, and bits beyond a range's length do
// not count. An address has no zone.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return PrefixOf(addr), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// PrefixOf returns the range of one address, without its zone.
func PrefixOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen())
}

// Contain reports whether addr is in one of the ranges.
func (ps Prefixes) Contain(addr netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
