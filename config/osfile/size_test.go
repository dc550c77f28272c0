package osfile

import (
	"math"
	"testing"
)

func TestSizesAreRoundedToTheNearest(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{
		{0, "0 bytes"}, {1, "1 byte"}, {50, "50 bytes"}, {1023, "1023 bytes"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {1100, "1.1 KiB"},
		{10188, "9.9 KiB"}, {10189, "10 KiB"}, {10 << 10, "10 KiB"}, {1023<<10 + 511, "1023 KiB"}, {1023<<10 + 512, "1 MiB"},
		{1 << 20, "1 MiB"}, {3 << 19, "1.5 MiB"}, {20 << 20, "20 MiB"}, {20<<20 + 600<<10, "21 MiB"}, {1 << 30, "1 GiB"},
		{5 << 40, "5 TiB"}, {math.MaxInt64, "8 EiB"},
	} {
		if got := SizeText(c.n); got != c.want {
			t.Errorf("%d: %q, want %q", c.n, got, c.want)
		}
	}
}
