package proxy

import (
	"slices"
	"testing"
)

func TestRangesAreReadAsTheRFCAndNginxDo(t *testing.T) {
	for _, c := range []struct {
		value  string
		size   int64
		limit  int
		result RangeResult
		spans  []Span
	}{
		{"bytes=0-4", 10, -1, RangeTaken, []Span{{0, 5}}},
		{"bytes=-3", 10, -1, RangeTaken, []Span{{7, 10}}},
		{"bytes=3-", 10, -1, RangeTaken, []Span{{3, 10}}},
		{"bytes=0-99", 10, -1, RangeTaken, []Span{{0, 10}}},
		{"bytes=0-99999999999999999999999", 10, -1, RangeTaken, []Span{{0, 10}}},
		{"bytes=99999999999999999999999-", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=-99999999999999999999999", 10, -1, RangeTaken, []Span{{0, 10}}},
		{"bytes=9223372036854775807-", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=9223372036854775808-", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=9223372036854775809-", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=99999999999999999999-", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=18446744073709551617-", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=0-9223372036854775807", 1000, -1, RangeTaken, []Span{{0, 1000}}},
		{"bytes=0-9223372036854775808", 1000, -1, RangeTaken, []Span{{0, 1000}}},
		{"bytes=-9223372036854775808", 1000, -1, RangeTaken, []Span{{0, 1000}}},
		{"bytes=19-18446744073709551616", 1000, -1, RangeTaken, []Span{{19, 1000}}},
		{"bytes=9223372036854775808-9223372036854775809", 1000, -1, RangeUnsatisfiable, nil},
		{"bytes=00000000000000000000000019-20", 1000, -1, RangeTaken, []Span{{19, 21}}},
		{"bytes=0-9223372036854775807,0-9223372036854775807", 1<<63 - 1, -1, RangeIgnored, nil},
		{"bytes=0-1,, 4-5 ,", 10, -1, RangeTaken, []Span{{0, 2}, {4, 6}}},
		{"bytes=0-1,20-", 10, -1, RangeTaken, []Span{{0, 2}}},
		{"bytes=0-7,2-9", 10, -1, RangeIgnored, nil},
		{"bytes=0-1,3-4,6-7", 10, 2, RangeIgnored, nil},
		{"bytes=0-1,3-4", 10, 2, RangeTaken, []Span{{0, 2}, {3, 5}}},
		{"bytes=10-", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=-0", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=5-4", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=+1-2", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=1-2-3", 10, -1, RangeUnsatisfiable, nil},
		{"bytes=0-", 0, -1, RangeIgnored, nil},
		{"rows=0-1", 10, -1, RangeIgnored, nil},
		{"bytes", 10, -1, RangeIgnored, nil},
	} {
		spans, result := ParseRanges(c.value, c.size, c.limit)
		if result != c.result || !slices.Equal(spans, c.spans) {
			t.Errorf("%q of %d, at most %d: got %v %v; want %v and %v", c.value, c.size, c.limit, result, spans, c.result, c.spans)
		}
	}
}

func FuzzRangesStayInsideTheFile(f *testing.F) {
	f.Add("bytes=0-4,-3,7-", int64(10))
	f.Add("bytes=9223372036854775808-", int64(1000))
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		spans, result := ParseRanges(value, size, -1)
		if result == RangeTaken && len(spans) == 0 {
			t.Errorf("%q of %d is taken without a range", value, size)
		}
		for _, s := range spans {
			if s.Start < 0 || s.Start >= s.End || s.End > size {
				t.Errorf("%q of %d: %v; want start at least 0 and start less than %v", value, size, s, s.End)
			}
		}
	})
}
