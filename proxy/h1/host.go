package h1

import (
	"net/netip"
	"strings"

	"alicorn/proxy"
)

// validHost checks uri-host [":" port], RFC 3986 section 3.2.2.
func validHost(h string) bool {
	if strings.HasPrefix(h, "[") {
		end := strings.IndexByte(h, ']')
		if end < 2 || !validLiteral(h[1:end]) {
			return false
		}
		return end == len(h)-1 || h[end+1] == ':' && validPort(h[end+2:])
	}
	i := 0
	for ; i < len(h) && h[i] != ':'; i++ {
		switch c := h[i]; {
		case c == '.' && i+1 < len(h) && h[i+1] == '.':
			return false // as nginx: no two dots in a row
		case classes[c]&inHost != 0:
		case c != '%' || i+2 >= len(h) || proxy.HexValue(h[i+1]) < 0 || proxy.HexValue(h[i+2]) < 0:
			return false
		}
	}
	return i > 0 && h[:i] != "." && (i == len(h) || validPort(h[i+1:]))
}

// validLiteral checks what stands in brackets: an IPv6 address without a zone,
// or the form that RFC 3986 keeps for later ones ("v1.x").
func validLiteral(s string) bool {
	if s[0] == 'v' || s[0] == 'V' {
		version, rest, _ := strings.Cut(s[1:], ".")
		return version != "" && rest != "" && strings.Trim(version, "0123456789abcdefABCDEF") == "" &&
			strings.IndexFunc(rest, func(c rune) bool { return c >= 0x80 || classes[c]&inHost == 0 && c != ':' }) < 0
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// validPort takes an empty port, as RFC 3986 does, and numbers up to 65535.
func validPort(p string) bool {
	n := 0
	for i := range len(p) {
		if n = n*10 + int(p[i]-'0'); p[i] < '0' || p[i] > '9' || n > 65535 {
			return false
		}
	}
	return true
}
