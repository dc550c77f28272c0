package proxy_test

import (
	"testing"

	"alicorn/proxy"
)

func TestCodingQuality(t *testing.T) {
	for _, c := range []struct {
		accept, coding string
		want           int
	}{
		{"gzip", "gzip", 1000}, {"x-gzip;q=0.5", "gzip", 500}, {"GZIP ; Q=0.29", "gzip", 290}, {"br, *;q=0.2", "gzip", 200},
		{"gzip;q=0, *", "gzip", 0}, {"br", "gzip", 0}, {"", "gzip", 0}, {"gzip;q=1.5", "gzip", 0}, {"gzip;q=NaN", "gzip", 0},
		{"gzip;q=1.000", "gzip", 1000}, {"gzip;q=1.", "gzip", 1000}, {"gzip;q=0.33333", "gzip", 333}, {"gzip;q=", "gzip", 0}, {"gzip;q=1.001", "gzip", 0},
		{"gzip;q=0x1p-1", "gzip", 0}, {"gzip;q=1e-1", "gzip", 0}, {"gzip;q=-0", "gzip", 0}, {"gzip;q=+1", "gzip", 0}, {"gzip;q=0.5.5", "gzip", 0},
		{"gzip;q=00.5", "gzip", 0}, {"gzip;q=18446744073709551616", "gzip", 0},
		{"x-gzip", "br", 0}, {"gzip;x=1;q=0.3", "gzip", 300},
	} {
		if got := proxy.CodingQuality(c.accept, c.coding); got != c.want {
			t.Errorf("%q of %q: %d, not %d", c.coding, c.accept, got, c.want)
		}
	}
}
