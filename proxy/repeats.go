package proxy

import "strings"

// Repeats knows which lines of a Header have the same name. It is for formats that hold
// each name once, such as a CGI environment; see Header.Repeats.
type Repeats struct {
	header   *Header
	repeated uint64 // the marks that several lines have
	chain    []link // nil: lines are compared with one another
}

// link connects a line with the other lines of the same name.
type link struct {
	next  int32 // the index of the next one; 0: none
	later bool  // an earlier line has the name, too
}

// fewFields is the largest number of lines that are compared with one another.
const fewFields = 32

// Repeats finds the names that several lines have. Its time is linear in the number of
// lines; it allocates only if there are many lines, or for underscores. With underscores,
// names that differ only in underscores and hyphens are the same, as in a CGI environment.
func (h *Header) Repeats(underscores bool) Repeats {
	r := Repeats{header: h}
	if underscores && h.hasUnderscores() {
		r.repeated, r.chain = ^uint64(0), h.chainLines(true)
		return r
	}
	var once uint64
	for i := range h.fields {
		m := mark(h.fields[i].Name)
		r.repeated |= once & m
		once |= m
	}
	if r.repeated != 0 && len(h.fields) > fewFields {
		r.chain = h.chainLines(false)
	}
	return r
}

// Alone reports whether it is certain that no other line has line i's name. If it is not,
// First and Next find out.
func (r *Repeats) Alone(i int) bool { return r.repeated&mark(r.header.fields[i].Name) == 0 }

// First reports whether line i is the first one of its name.
func (r *Repeats) First(i int) bool {
	if r.chain != nil {
		return !r.chain[i].later
	}
	for j := range i {
		if r.header.sameName(i, j) {
			return false
		}
	}
	return true
}

// Next returns the index of the next line with line i's name, 0 if there is none.
func (r *Repeats) Next(i int) int {
	if r.chain != nil {
		return int(r.chain[i].next)
	}
	for j := i + 1; j < len(r.header.fields); j++ {
		if r.header.sameName(i, j) {
			return j
		}
	}
	return 0
}

// chainLines links the lines of each name. Its time is linear in the number of lines, which
// a client chooses.
func (h *Header) chainLines(underscores bool) []link {
	chain := make([]link, len(h.fields))
	last := make(map[string]int32, len(h.fields))
	for i := range chain {
		name := strings.ToLower(h.fields[i].Name)
		if underscores {
			name = strings.ReplaceAll(name, "_", "-")
		}
		if before, ok := last[name]; ok {
			chain[before].next, chain[i].later = int32(i), true
		}
		last[name] = int32(i)
	}
	return chain
}

// mark returns one bit of 64. Equal names have the same mark, whatever their case.
func mark(name string) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n)*7 + uint(name[0]|0x20)*3 + uint(name[n-1]|0x20)*5 + uint(name[n/2]|0x20)) & 63)
}

func (h *Header) hasUnderscores() bool {
	for i := range h.fields {
		if f := &h.fields[i]; f.id == FieldOther && strings.IndexByte(f.Name, '_') >= 0 {
			return true
		}
	}
	return false
}

func (h *Header) sameName(i, j int) bool {
	a, b := &h.fields[i], &h.fields[j]
	return a.id == b.id && len(a.Name) == len(b.Name) && (a.id != FieldOther || strings.EqualFold(a.Name, b.Name))
}
