package geo

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// ranges are the ranges of a block, which are of IPv4 addresses. As in nginx, a range is cut
// where the upper 16 bits of the address change, and the parts are compared one by one. A
// range may be inside an earlier one, of which the parts beside it are left.
type ranges struct {
	halves map[uint16][]span // by the upper 16 bits, sorted
	other  *proxy.Template   // the value of default; nil: none
}

// span is a range of the lower 16 bits.
type span struct {
	first, last uint16
	value       *proxy.Template
}

func (r *ranges) add(l *config.Load, ln line) error {
	if ln.other {
		if r.other != nil {
			was, _ := r.other.Static()
			l.Warn(ln.pos, "duplicate default geo range value, old value: %q", was)
		}
		r.other = ln.value
		return nil
	}
	first, last, ok := parseRange(ln.name)
	if !ok {
		return fmt.Errorf("invalid range %q; it is two IPv4 addresses, such as 192.0.2.1-192.0.2.9, the lower one first", ln.name)
	}
	if r.halves == nil {
		r.halves = map[uint16][]span{}
	}
	missing, warned := false, false
	for upper := first >> 16; upper <= last>>16; upper++ {
		s := span{first: 0, last: 0xffff, value: ln.value}
		if upper == first>>16 {
			s.first = uint16(first)
		}
		if upper == last>>16 {
			s.last = uint16(last)
		}
		if ln.deletes {
			missing = !r.delete(uint16(upper), s) || missing
			continue
		}
		old, err := r.put(uint16(upper), s)
		if err != nil {
			return fmt.Errorf("range %q overlaps %q", ln.name, err)
		}
		if old != nil && !warned {
			warned = true
			warnOfTwo(l, "range", ln, old)
		}
	}
	if missing {
		l.Warn(ln.pos, "no address range %q to delete", ln.name)
	}
	return nil
}

func parseRange(text string) (first, last uint32, ok bool) {
	from, to, ok := strings.Cut(text, "-")
	a, okA := proxy.ParseAddr(from)
	b, okB := proxy.ParseAddr(to)
	if !ok || !okA || !okB || !a.Is4() || !b.Is4() {
		return 0, 0, false
	}
	first, last = number(a), number(b)
	return first, last, first <= last
}

func number(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

// overlap is the error for a new range that is partly in this one.
type overlap struct {
	upper uint16
	span
}

// Error returns the range.
func (o overlap) Error() string {
	text := func(lower uint16) string {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(o.upper)<<16|uint32(lower))
		return netip.AddrFrom4(b).String()
	}
	return text(o.first) + "-" + text(o.last)
}

// put adds s. old is the value of an equal range that s replaces; nil: there is none.
func (r *ranges) put(upper uint16, s span) (old *proxy.Template, err error) {
	have := r.halves[upper]
	i := sort.Search(len(have), func(i int) bool { return have[i].last >= s.first })
	if i == len(have) || s.last < have[i].first {
		r.halves[upper] = slices.Insert(have, i, s)
		return nil, nil
	}
	o := have[i]
	if s.first < o.first || s.last > o.last {
		return nil, overlap{upper, have[lastOver(have, s)]}
	}
	var parts []span
	if s.first > o.first {
		parts = append(parts, span{o.first, s.first - 1, o.value})
	}
	parts = append(parts, s)
	if s.last < o.last {
		parts = append(parts, span{s.last + 1, o.last, o.value})
	}
	if len(parts) == 1 {
		old = o.value
	}
	r.halves[upper] = slices.Replace(have, i, i+1, parts...)
	return old, nil
}

// lastOver returns the last range that s is partly in, which nginx names.
func lastOver(have []span, s span) int {
	i := len(have) - 1
	for have[i].first > s.last {
		i--
	}
	return i
}

// delete removes the range that equals s, and reports whether there was one.
func (r *ranges) delete(upper uint16, s span) bool {
	have := r.halves[upper]
	i := slices.IndexFunc(have, func(o span) bool { return o.first == s.first && o.last == s.last })
	if i < 0 {
		return false
	}
	r.halves[upper] = slices.Delete(have, i, i+1)
	return true
}

// find returns the value of the range that has addr. An IPv6 address has the value of nobody.
func (r *ranges) find(addr netip.Addr) *proxy.Template {
	if !addr.Is4() {
		addr = nobody()
	}
	n := number(addr)
	have, lower := r.halves[uint16(n>>16)], uint16(n)
	i := sort.Search(len(have), func(i int) bool { return have[i].last >= lower })
	switch {
	case i < len(have) && have[i].first <= lower:
		return have[i].value
	case r.other == nil:
		return &none
	}
	return r.other
}
