package proxy

import "strings"

// CodingQuality returns the weight that an Accept-Encoding field gives a content coding
// ("gzip" includes x-gzip), from 0 to 1000. 0 means that the field refuses the coding, or
// neither names it nor covers it with "*". RFC 9110 section 12.5.3.
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
			return quality(strings.TrimSpace(v))
		}
	}
	return 1000
}

// quality reads a qvalue, RFC 9110 section 12.4.2, in thousandths. Digits past the third
// do not count. A malformed value, or one above 1, is 0.
func quality(v string) int {
	whole, digits, _ := strings.Cut(v, ".")
	if whole != "0" && whole != "1" {
		return 0
	}
	q, unit := int(whole[0]-'0')*1000, 100
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0
		}
		q += int(digits[i]-'0') * unit
		unit /= 10
	}
	if q > 1000 {
		return 0
	}
	return q
}
