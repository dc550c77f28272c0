package proxy

import "strings"

// TypeSet is a set of content types, as directives such as gzip_types name them; "*" is
// every type.
type TypeSet struct {
	any   bool
	names []string
}

// NewTypeSet returns the set of the names.
func NewTypeSet(names ...string) TypeSet {
	s := TypeSet{names: names}
	for _, n := range names {
		s.any = s.any || n == "*"
	}
	return s
}

// Has reports whether the set has a content type. Parameters of the type and case do
// not count.
func (s TypeSet) Has(contentType string) bool {
	if s.any {
		return true
	}
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimRight(t, " \t")
	for _, name := range s.names {
		if strings.EqualFold(t, name) {
			return true
		}
	}
	return false
}
