package proxy

import (
	"fmt"
	"math"
	"strings"
)

// Span is a range of bytes: from Start, up to but not including End.
type Span struct{ Start, End int64 }

// ContentRange returns the value of Content-Range for s in a file of that size.
func (s Span) ContentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.Start, s.End-1, size)
}

// RangeResult says how a Range field is answered.
type RangeResult uint8

// The results.
const (
	RangeIgnored       RangeResult = iota // the response has the whole file
	RangeTaken                            // 206
	RangeUnsatisfiable                    // 416
)

// ParseRanges reads a Range field for a file of that size, RFC 9110 section 14.1.2. As in
// nginx, it ignores a field with another unit, with more than limit ranges (limit >= 0), or
// with ranges that together are longer than the file. A malformed field, and one whose ranges
// all are behind the end, are unsatisfiable.
func ParseRanges(value string, size int64, limit int) ([]Span, RangeResult) {
	if len(value) < 7 || !strings.EqualFold(value[:6], "bytes=") {
		return nil, RangeIgnored
	}
	var spans []Span
	total := int64(0)
	for rest := value[6:]; rest != ""; {
		var spec string
		spec, rest, _ = strings.Cut(rest, ",")
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		s, ok := parseSpan(spec, size)
		switch {
		case !ok:
			return nil, RangeUnsatisfiable
		case s.Start < s.End:
			if limit >= 0 && len(spans) == limit {
				return nil, RangeIgnored
			}
			if s.End-s.Start > size-total {
				return nil, RangeIgnored
			}
			total += s.End - s.Start
			spans = append(spans, s)
		case s.Start == 0:
			return nil, RangeIgnored // the file is empty
		}
	}
	if len(spans) == 0 {
		return nil, RangeUnsatisfiable
	}
	return spans, RangeTaken
}

// parseSpan reads one range; false if it is malformed. The span of a range behind the end is
// empty.
func parseSpan(spec string, size int64) (Span, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return Span{}, false
	}
	first, last = strings.TrimRight(first, " \t"), strings.TrimLeft(last, " \t")
	if first == "" {
		n, ok := digits(last)
		return Span{max(size-n, 0), size}, ok
	}
	start, ok := digits(first)
	if last == "" {
		return Span{start, size}, ok
	}
	end, ok2 := digits(last)
	return Span{start, min(end, size-1) + 1}, ok && ok2
}

// digits reads a decimal number. A number that is too large for an int64 becomes the largest
// int64, which is behind the end of any file.
func digits(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-int64(d))/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d)
	}
	return n, true
}
