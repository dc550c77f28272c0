package proxy

import (
	"fmt"
	"strings"
)

// Hosts maps names of hosts to values. A name is exact, "*.example.com", ".example.com"
// (which includes example.com itself), or "www.example.*". As in nginx an exact name wins,
// then the longest name that begins with an asterisk, then the longest that ends with one.
// Names and hosts are in lower case. The zero Hosts is empty.
type Hosts[V any] struct {
	exact   map[string]V
	leading map[string]V // "example.com" for "*.example.com"
	trail   map[string]V // "www.example" for "www.example.*"
	// The lengths of the longest key of leading and of trail. No longer part of a host is
	// looked up; otherwise the cost of a host with many dots would grow with the square of
	// its length.
	longestLeading, longestTrail int
}

// Add adds v under a name. If the name is taken, its value stays and is returned.
func (t *Hosts[V]) Add(name string, v V) (other V, taken bool) {
	put := func(m *map[string]V, key string) {
		if old, ok := putNew(m, key, v); ok {
			other, taken = old, true
		}
	}
	switch {
	case strings.HasPrefix(name, "*."):
		put(&t.leading, name[2:])
		t.longestLeading = max(t.longestLeading, len(name)-2)
	case len(name) > 1 && name[0] == '.':
		put(&t.exact, name[1:])
		put(&t.leading, name[1:])
		t.longestLeading = max(t.longestLeading, len(name)-1)
	case strings.HasSuffix(name, ".*"):
		put(&t.trail, name[:len(name)-2])
		t.longestTrail = max(t.longestTrail, len(name)-2)
	default:
		put(&t.exact, name)
	}
	return other, taken
}

// AddExact is Add for a name in which an asterisk or a dot has no meaning.
func (t *Hosts[V]) AddExact(name string, v V) (other V, taken bool) {
	return putNew(&t.exact, name, v)
}

// putNew sets m[key], or returns the value that key has already.
func putNew[V any](m *map[string]V, key string, v V) (other V, taken bool) {
	if *m == nil {
		*m = map[string]V{}
	}
	if other, taken = (*m)[key]; !taken {
		(*m)[key] = v
	}
	return other, taken
}

// CheckHost returns an error for a text that Add would not read as a name: one with two
// dots in a row, with NUL, or with an asterisk that is not a whole label at one end.
func CheckHost(name string) error {
	inner := name
	switch {
	case len(name) > 2 && strings.HasPrefix(name, "*."):
		inner = name[2:]
	case len(name) > 2 && strings.HasSuffix(name, ".*"):
		inner = name[:len(name)-2]
	}
	if strings.Contains(inner, "*") || strings.Contains(name, "..") || strings.Contains(name, "\x00") {
		return fmt.Errorf("invalid hostname or wildcard %q; a wildcard is *.example.com, .example.com or www.example.*", name)
	}
	return nil
}

// Find returns the value of the name that matches host best. It keeps nothing of host.
func (t *Hosts[V]) Find(host string) (v V, found bool) {
	if v, found = t.exact[host]; found {
		return v, true
	}
	if len(t.leading) > 0 {
		for rest := host[max(len(host)-t.longestLeading-1, 0):]; ; {
			_, after, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			if v, found = t.leading[after]; found {
				return v, true
			}
			rest = after
		}
	}
	if len(t.trail) > 0 {
		start := host[:min(len(host), t.longestTrail+1)]
		for i := strings.LastIndexByte(start, '.'); i > 0; i = strings.LastIndexByte(start[:i], '.') {
			if v, found = t.trail[start[:i]]; found {
				return v, true
			}
		}
	}
	return v, false
}
