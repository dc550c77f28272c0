package proxy

import (
	"net"
	"testing"
)

func TestANameMeansItsLowestAddressInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		found      []string
	}{
		{"one", "192.0.2.7", []string{"192.0.2.7"}},
		{"turned", "192.0.2.1", []string{"192.0.2.9", "192.0.2.1"}},
		{"both families", "192.0.2.9", []string{"2001:db8::1", "192.0.2.9"}},
		{"IPv6 alone", "2001:db8::1", []string{"2001:db8::2", "2001:db8::1"}},
	} {
		var found []net.IP
		for _, text := range tc.found {
			found = append(found, net.ParseIP(text))
		}
		if got := firstOf(found).String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
