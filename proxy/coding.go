package proxy

import (
	"strconv"
	"strings"
)

// CodingQuality returns the weight, in thousandths, that an Accept-Encoding
// field gives a content coding ("gzip" includes x-gzip); 0 refuses it, and is
// that of codings that the field neither names nor covers by "*". RFC 9110
// section 12.5.3.
func CodingQuality(accept, coding string) int {
	q, any := -1, 0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.TrimSpace(name)
		switch w := codingWeight(params); {
		case strings.EqualFold(name, coding), coding == "gzip" && strings.EqualFold(name, "x-gzip"):
			q = w
		case name == "*":
			any = w
		}
	}
	if q >= 0 {
		return q
	}
	return any
}

func codingWeight(params string) int {
	for p := range strings.SplitSeq(params, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), "q") {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if !(err == nil && f >= 0 && f <= 1) { // also for NaN
				return 0
			}
			return int(f*1000 + 0.5)
		}
	}
	return 1000
}
