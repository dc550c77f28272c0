package acme

import (
	"net/netip"
	"strings"
	"testing"
)

func TestWhereANameMayLead(t *testing.T) {
	t.Parallel()
	addrs := func(text string) (out []netip.Addr) {
		for _, a := range strings.Fields(text) {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for _, c := range []struct {
		name, found, ours, public string
		want                      bool
	}{
		{"here", "203.0.113.5", "127.0.0.1 203.0.113.5", "203.0.113.5", true},
		{"elsewhere", "203.0.113.9", "127.0.0.1 203.0.113.5", "203.0.113.5", false},
		{"here and elsewhere", "203.0.113.9 203.0.113.5", "203.0.113.5", "203.0.113.5", true},
		{"a second address of ours", "10.0.0.7", "10.0.0.7 203.0.113.5", "203.0.113.5", true},
		{"the loopback, as of a hosts file", "127.0.1.1", "127.0.0.1 203.0.113.5", "203.0.113.5", true},
		{"a mapped address", "::ffff:203.0.113.5", "203.0.113.5", "203.0.113.5", true},
		{"behind translation", "203.0.113.9", "10.0.0.7", "", true},
		{"behind translation in one family only", "203.0.113.9", "10.0.0.7 2001:db8::5", "2001:db8::5", true},
		{"elsewhere in the other family", "2001:db8::9", "10.0.0.7 2001:db8::5", "2001:db8::5", false},
		{"nowhere", "", "203.0.113.5", "203.0.113.5", false},
	} {
		if got := mayLeadHere(addrs(c.found), addrs(c.ours), addrs(c.public)); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

func TestPublicNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shop.example.com": "", "xn--bcher-kva.example.com": "", "*.example.com": "",
		"": "not a host name", "_": "not a host name", "localhost": "own name", "a.localhost": "own name",
		"192.0.2.1": "address", "::1": "address", "host": "no domain", "*.com": "no domain", "a.*.com": "not a host name", "*": "not a host name",
		"www.example.*": "not a host name", "a b.example.com": "not a host name", "a..example.com": "not a host name", ".example.com": "not a host name",
		"a.internal": "private", "a.local": "private", "a.home.arpa": "private", "a.test": "private", "a.example": "private", "printer.lan": "private",
	} {
		err := Public(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}
