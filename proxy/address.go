package proxy

import (
	"net/netip"
	"strings"

	"alicorn/config"
)

// ParseAddr reads an IPv4 or IPv6 address as nginx does. It refuses an IPv6 address with
// a zone.
func ParseAddr(text string) (netip.Addr, bool) {
	if v4, ok := parseIPv4(text); ok {
		return v4, true
	}
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && addr.Is6() && addr.Zone() == ""
}

// parseIPv4 reads addresses as nginx's ngx_inet_addr does: four decimal numbers,
// which may have leading zeros or no digit at all. It refuses the broadcast
// address.
func parseIPv4(text string) (netip.Addr, bool) {
	var octets [4]byte
	octet, n := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			if octet = octet*10 + int(c-'0'); octet > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && n < 3:
			octets[n], octet = byte(octet), 0
			n++
		default:
			return netip.Addr{}, false
		}
	}
	octets[3] = byte(octet)
	return netip.AddrFrom4(octets), n == 3 && octets != [4]byte{255, 255, 255, 255}
}

// ParseRange reads an address, or a range such as 192.0.2.0/24 or 2001:db8::/32, as nginx
// does. exact is false if the address has bits set beyond the prefix; p has them cleared.
func ParseRange(text string) (p netip.Prefix, exact, ok bool) {
	before, length, ranged := strings.Cut(text, "/")
	addr, ok := ParseAddr(before)
	if !ok {
		return p, false, false
	}
	bits := addr.BitLen()
	if ranged {
		var err error
		if bits, err = config.ParseInt(length, 0, bits); err != nil {
			return p, false, false
		}
	}
	p = netip.PrefixFrom(addr, bits)
	return p.Masked(), p == p.Masked(), true
}

// ReadRange is ParseRange for a word of the configuration. It warns of bits beyond the
// prefix.
func ReadRange(l *config.Load, a config.Arg) (p netip.Prefix, ok bool) {
	p, exact, ok := ParseRange(a.Text)
	if ok && !exact {
		l.Warn(a.Pos, "low address bits of %q are meaningless; it is read as %q", a.Text, p)
	}
	return p, ok
}
