package config

import (
	"testing"
	"time"
)

// The sizes are those of nginx 1.22 for client_max_body_size.
func TestSizesAreReadAsByNginx(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{
		{"0", 0},
		{"1", 1},
		{"007m", 7 << 20},
		{"1k", 1 << 10},
		{"1K", 1 << 10},
		{"8M", 8 << 20},
		{"2g", 2 << 30},
		{"9223372036854775807", 1<<63 - 1},
		{"8589934591g", 8589934591 << 30},
	} {
		if got, err := ParseSize(c.in); err != nil || got != c.want {
			t.Errorf("%q: got %d, %v; want %d", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "k", "1t", "10kk", "-1", "+1", "0x1", "1 k", " 1", "1.5m", "9223372036854775808", "8796093022208m", "8589934592g"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q: got %d, want an error", in, got)
		}
	}
}

// The times are those of nginx 1.22 for client_header_timeout and, with y and M, for the
// second argument of keepalive_timeout.
func TestTimesAreReadAsByNginx(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
	}{
		{"0", 0},
		{"90", 90 * time.Second},
		{"500ms", 500 * time.Millisecond},
		{"30s", 30 * time.Second},
		{"5m", 5 * time.Minute},
		{"1h 30m", 90 * time.Minute},
		{"1h  30m", 90 * time.Minute},
		{"1h30m", 90 * time.Minute},
		{"1h30", time.Hour + 30*time.Second},
		{"1s 500ms", 1500 * time.Millisecond},
		{"30s 5", 35 * time.Second},
		{"5ms 3", 3*time.Second + 5*time.Millisecond},
		{"5 6", 11 * time.Second},
		{"1hm", time.Hour},
		{"5 ", 5 * time.Second},
		{"2d", 48 * time.Hour},
		{"1w", 168 * time.Hour},
		{"1M", 30 * 24 * time.Hour},
		{"1y 1M", 395 * 24 * time.Hour},
		{"100y", 100 * 365 * 24 * time.Hour},
	} {
		if got, err := ParseTime(c.in); err != nil || got != c.want {
			t.Errorf("%q: got %s, %v; want %s", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "h", "s", "1S", "1.5s", "-1", "30m1h", "1m1m", "1M1y", "1 30m", "30s 5 1", "1h,30m", "101y", "100y 1s", "292y", "293y", "3153600001", "99999999999999999999"} {
		if got, err := ParseTime(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, got)
		}
	}
}

func TestNumbersAreReadWithinTheirBounds(t *testing.T) {
	for _, c := range []struct {
		in        string
		low, high int
		want      int
		ok        bool
	}{
		{"0", 0, 9, 0, true},
		{"007", 0, 9, 7, true},
		{"-1", -1, 1, -1, true},
		{"9223372036854775807", 0, 1<<63 - 1, 1<<63 - 1, true},
		{"", 0, 9, 0, false},
		{"+1", 0, 9, 0, false},
		{"-1", 0, 9, 0, false},
		{"10", 0, 9, 0, false},
		{"1_0", 0, 99, 0, false},
		{"0x1", 0, 99, 0, false},
		{" 1", 0, 9, 0, false},
		{"1.0", 0, 9, 0, false},
		{"9223372036854775808", 0, 1<<63 - 1, 0, false},
		{"18446744073709551617", 0, 9, 0, false},
	} {
		if got, err := ParseInt(c.in, c.low, c.high); (err == nil) != c.ok || got != c.want {
			t.Errorf("%q from %d to %d: got %d, %v; want success: %v and %d", c.in, c.low, c.high, got, err, c.ok, c.want)
		}
	}
}

func TestSizesAreReadWithinTheirBounds(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"1k", 1024, true}, {"2k", 2048, true}, {"1023", 0, false}, {"2049", 0, false}, {"8589934592g", 0, false}, {"x", 0, false},
	} {
		if got, err := ParseSizeIn(c.in, 1024, 2048); (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: got %d, %v; want success: %v and %d", c.in, got, err, c.ok, c.want)
		}
	}
}
