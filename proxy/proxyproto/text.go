package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// parseText reads version 1:
//
//	PROXY TCP4 192.0.2.1 198.51.100.7 4711 80 CRLF
//	PROXY UNKNOWN [anything] CRLF
func parseText(b []byte) (*Header, int, error) {
	end := bytes.IndexAny(b[:min(len(b), maxText)], "\r\n")
	switch {
	case end < 0 && len(b) >= maxText, end+len(lineEnd) > maxText:
		return nil, 0, broken(b, "is longer than %d bytes", maxText)
	case end < 0:
		return nil, 0, ErrShort
	case !begins(b[end:], lineEnd):
		return nil, 0, broken(b, "does not end with CRLF")
	case len(b) < end+len(lineEnd):
		return nil, 0, ErrShort
	}
	size := end + len(lineEnd)
	family, rest, _ := strings.Cut(string(b[len(textMark):end]), " ")
	if family == "UNKNOWN" {
		return nil, size, nil
	}
	if family != "TCP4" && family != "TCP6" {
		return nil, 0, broken(b, "names the family %q; a header names TCP4, TCP6 or UNKNOWN", family)
	}
	words := strings.Split(rest, " ")
	if len(words) != 4 {
		return nil, 0, broken(b, "does not have two addresses and two ports")
	}
	h := &Header{}
	for i, end := range [...]*netip.AddrPort{&h.Source, &h.Destination} {
		address, ok := parseAddress(words[i], family == "TCP6")
		if !ok {
			return nil, 0, broken(b, "has the address %q, which is not of the family %s", words[i], family)
		}
		port, ok := parsePort(words[2+i])
		if !ok {
			return nil, 0, broken(b, "has the port %q; a port is a number from 0 to 65535", words[2+i])
		}
		*end = netip.AddrPortFrom(address, port)
	}
	return h, size, nil
}

func parseAddress(text string, six bool) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.Is6() == six && a.Zone() == ""
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && (text == "0" || text[0] != '0')
}
