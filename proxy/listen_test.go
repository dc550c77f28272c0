package proxy

import (
	"net/netip"
	"testing"

	"alicorn/config"
)

// answers is a config.Host that finds these addresses for every name.
type answers struct {
	config.Host
	found []netip.Addr
}

func (a answers) LookUp(string) ([]netip.Addr, error) { return a.found, nil }

func TestANameMeansItsLowestAddressInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		found      []string
	}{
		{"one", "192.0.2.7:80", []string{"192.0.2.7"}},
		{"turned", "192.0.2.1:80", []string{"192.0.2.9", "192.0.2.1"}},
		{"both families", "192.0.2.9:80", []string{"2001:db8::1", "192.0.2.9"}},
		{"IPv6 alone", "[2001:db8::1]:80", []string{"2001:db8::2", "2001:db8::1"}},
	} {
		var h answers
		for _, text := range tc.found {
			h.found = append(h.found, netip.MustParseAddr(text))
		}
		var l Listen
		if err := l.parseAddress(h, "shop.example:80"); err != nil || l.Address != tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.name, l.Address, err, tc.want)
		}
	}
}
