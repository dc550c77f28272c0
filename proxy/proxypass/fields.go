package proxypass

import (
	"strings"

	"alicorn/proxy"
)

// fieldSet is a set of names of header fields.
type fieldSet struct {
	known [256]bool // the names with a FieldID, by it
	names []string  // the other names
}

func (s *fieldSet) add(name string) {
	if id := proxy.FieldIDOf(name); id != proxy.FieldOther {
		s.known[id] = true
		return
	}
	s.names = append(s.names, name)
}

// has reports whether the set has the name, whose FieldID is id.
func (s *fieldSet) has(id proxy.FieldID, name string) bool {
	if id != proxy.FieldOther {
		return s.known[id]
	}
	for _, own := range s.names {
		if len(own) == len(name) && strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}
