package realip

import (
	"net/netip"
	"strconv"
	"strings"

	"alicorn/proxy"
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
	if addr, ok := proxy.ParseAddr(text); ok {
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
	addr, ok := proxy.ParseAddr(host)
	if err != nil || number == 0 || !ok {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(number)), true
}
