package h1

import (
	"net/netip"
	"strings"

	"alicorn/proxy"
)

// validHost reports whether h is uri-host [":" port] (RFC 3986 section 3.2.2), without two
// dots in a row.
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
			return false // as in nginx
		case classes[c]&inHost != 0:
		case c != '%' || i+2 >= len(h) || proxy.HexValue(h[i+1]) < 0 || proxy.HexValue(h[i+2]) < 0:
			return false
		}
	}
	return i > 0 && h[:i] != "." && (i == len(h) || validPort(h[i+1:]))
}

// validLiteral reports whether s may stand in brackets: an IPv6 address without a zone, or
// the form that RFC 3986 reserves for later versions ("v1.x").
func validLiteral(s string) bool {
	if s[0] == 'v' || s[0] == 'V' {
		version, rest, _ := strings.Cut(s[1:], ".")
		return version != "" && rest != "" && strings.Trim(version, "0123456789abcdefABCDEF") == "" &&
			strings.IndexFunc(rest, func(c rune) bool { return c >= 0x80 || classes[c]&inHost == 0 && c != ':' }) < 0
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// validPort reports whether p is a number up to 65535, or empty, which RFC 3986 allows.
func validPort(p string) bool {
	n := 0
	for i := range len(p) {
		if n = n*10 + int(p[i]-'0'); p[i] < '0' || p[i] > '9' || n > 65535 {
			return false
		}
	}
	return true
}
