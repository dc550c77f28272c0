package proxy

import "net/netip"

// Prefixes are ranges of addresses, such as those of trusted peers.
type Prefixes []netip.Prefix

// Everywhere returns the range of all IPv4 addresses and that of all IPv6 addresses.
func Everywhere() Prefixes {
	return Prefixes{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// ParsePrefix reads an address or a range such as 192.0.2.0/24. It refuses an address
// with a zone. A single IPv4 address that is written as IPv6 becomes IPv4. Bits of a
// range beyond its length are cleared.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return PrefixOf(addr), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// PrefixOf returns the range that holds addr alone, without a zone, and as IPv4 if
// addr is an IPv4 address in IPv6.
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
