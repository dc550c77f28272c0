package realip

import (
	"net/netip"
	"strconv"
	"strings"
)

// lastEntry returns the last entry of a list separated by spaces and commas, and
// the text before it, "" when it is the only one. As in nginx, a separator at the
// beginning of the list belongs to the first entry, which then is not an address.
func lastEntry(list string) (entry, before string) {
	if list == "" {
		return "", ""
	}
	rest := strings.TrimRight(list[1:], " ,")
	if i := strings.LastIndexAny(rest, " ,"); i >= 0 {
		return rest[i+1:], list[:1+i]
	}
	return list[:1+len(rest)], ""
}

// parseAddrPort reads an address as nginx does: "192.0.2.1", "192.0.2.1:80",
// "2001:db8::1" or "[2001:db8::1]:80". Without a port the port is 0.
func parseAddrPort(text string) (netip.AddrPort, bool) {
	if addr, ok := parseAddr(text); ok {
		return netip.AddrPortFrom(addr, 0), true
	}
	host, port, ok := strings.Cut(text, ":")
	if strings.HasPrefix(text, "[") {
		host, port, ok = strings.Cut(text[1:], "]")
		port, ok = strings.CutPrefix(port, ":")
	}
	if !ok || strings.HasPrefix(port, "+") {
		return netip.AddrPort{}, false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	addr, ok := parseAddr(host)
	if err != nil || number == 0 || !ok {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(number)), true
}

func parseAddr(text string) (netip.Addr, bool) {
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
