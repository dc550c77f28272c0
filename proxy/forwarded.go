package proxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// Forwarded finds a client's address in the lists of addresses that proxies send, such as
// X-Forwarded-For. It reads a list from its end, which the nearest proxy wrote.
type Forwarded struct {
	Trusted   Prefixes // the addresses of proxies
	Recursive bool     // go on while the address found is a proxy's
}

// Trusts reports whether addr is a proxy's. As in nginx, an IPv4 address in IPv6 counts
// as IPv4.
func (f *Forwarded) Trusts(addr netip.Addr) bool { return f.Trusted.Contain(addr.Unmap()) }

// Client returns the client's address from the lines of X-Forwarded-For, which together
// are one list. known is the address of the peer. The result is known if the list has no
// address, or if known is valid and not a proxy's. An invalid known is trusted.
func (f *Forwarded) Client(h *Header, known netip.AddrPort) netip.AddrPort {
	for i := h.Len() - 1; i >= 0; i-- {
		line := h.At(i)
		if line.ID() != FieldXForwardedFor {
			continue
		}
		more := false
		if known, more = f.Walk(known, line.Value); !more {
			break
		}
	}
	return known
}

// Walk reads list from its end. client is the address that it has reached, known if there
// is none. more reports whether the lines before this one count, too: f is Recursive, and
// every address up to client's, in this list and before, is a proxy's.
func (f *Forwarded) Walk(known netip.AddrPort, list string) (client netip.AddrPort, more bool) {
	client = known
	for {
		if client.IsValid() && !f.Trusts(client.Addr()) {
			return client, false
		}
		entry, before := lastEntry(list)
		next, ok := parseAddrPort(entry)
		if !ok {
			return client, false
		}
		client, list = next, before
		if !f.Recursive {
			return client, false
		}
		if list == "" {
			return client, true
		}
	}
}

// lastEntry returns the last entry of a list separated by spaces and commas, and
// the text before it, "" if it is the only one. As in nginx, a separator at the beginning
// of the list belongs to the first entry, which then is not a valid address.
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
// "2001:db8::1" or "[2001:db8::1]:80", with a port from 1 to 65535. The result has port 0
// if text has none.
func parseAddrPort(text string) (netip.AddrPort, bool) {
	if addr, ok := ParseAddr(text); ok {
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
	addr, ok := ParseAddr(host)
	if err != nil || number == 0 || !ok {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(number)), true
}
