package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
)

// commonName is the identifier of the attribute of a subject.
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// IsFor reports whether c is a certificate for the host name, as OpenSSL's X509_check_host
// decides, which nginx asks: the DNS names of c count, and its common names only if it has
// none. Unlike in RFC 9525 a "*" may also stand for a part of the first label, as in
// "www*.example.com". An address is a name like any other.
func IsFor(c *x509.Certificate, name string) bool {
	names := c.DNSNames
	if len(names) == 0 {
		for _, a := range c.Subject.Names {
			if text, ok := a.Value.(string); ok && a.Type.Equal(commonName) {
				names = append(names, text)
			}
		}
	}
	for _, pattern := range names {
		if strings.EqualFold(pattern, name) || fitsWildcard(pattern, name) {
			return name != ""
		}
	}
	return false
}

// fitsWildcard reports whether name is one of those that the pattern's "*" stands for. It
// stands at the beginning or the end of the first label, which two more labels follow at
// least.
func fitsWildcard(pattern, name string) bool {
	first, rest, _ := strings.Cut(pattern, ".")
	label, parent, _ := strings.Cut(name, ".")
	before, after, starred := strings.Cut(first, "*")
	switch {
	case !starred, before != "" && after != "", strings.Contains(after+rest, "*"):
		return false
	case !strings.Contains(rest, "."), strings.Contains("."+rest+".", ".."), !strings.EqualFold(rest, parent):
		return false
	case len(label) < len(before)+len(after) || len(first) == 1 && label == "":
		return false
	case len(first) > 1 && (isIDNA(first) || isIDNA(label)):
		return false
	}
	end := len(label) - len(after)
	return strings.EqualFold(label[:len(before)], before) && strings.EqualFold(label[end:], after) && isLabel(label[len(before):end])
}

func isIDNA(label string) bool { return len(label) >= 4 && strings.EqualFold(label[:4], "xn--") }

// isLabel reports whether s has only characters of host names.
func isLabel(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; s[i] != '-' && (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
