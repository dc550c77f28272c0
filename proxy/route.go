package proxy

import (
	"cmp"
	"slices"
	"strings"
)

// locations is one level of location blocks, indexed once for look-up: exact
// names, prefixes from the longest to the shortest, regular expressions in
// the order of the file.
type locations struct {
	exact   map[string]*Location
	lengths []int // distinct lengths of prefix names, longest first
	prefix  map[string]*Location
	slash   map[string]*Location // by name without its last slash
	regexes []*Location
	again   *Location // of a server that rewrites: what internal redirects meet first
}

func (ls *locations) add(l *Location) {
	switch l.Kind {
	case LocationExact:
		if ls.exact == nil {
			ls.exact = map[string]*Location{}
		}
		ls.exact[l.Name] = l
	case LocationPrefix, LocationPrefixStop:
		if ls.prefix == nil {
			ls.prefix = map[string]*Location{}
		}
		ls.prefix[l.Name] = l
		if !slices.Contains(ls.lengths, len(l.Name)) {
			ls.lengths = append(ls.lengths, len(l.Name))
			slices.SortFunc(ls.lengths, func(a, b int) int { return cmp.Compare(b, a) })
		}
	case LocationRegex:
		ls.regexes = append(ls.regexes, l)
	}
}

// duplicate returns the location of this level that l repeats, or nil.
func (ls *locations) duplicate(l *Location) *Location {
	switch l.Kind {
	case LocationExact:
		return ls.exact[l.Name]
	case LocationPrefix, LocationPrefixStop:
		return ls.prefix[l.Name]
	}
	return nil
}

// match says how a location was found.
type match uint8

const (
	matchNone   match = iota
	matchPrefix       // a prefix; regular expressions further out may still win
	matchFinal        // an exact name or a regular expression
	matchSlash        // the location's name is the path and a slash: redirect
)

// find returns the location for path as nginx chooses it: an exact name; else
// the longest prefix, searched for nested ones; else, unless that prefix says
// ^~, the first regular expression that matches, searched for nested ones;
// else the prefix.
func (ls *locations) find(x *Exchange, path string) (*Location, match) {
	if ls.again != nil && x.rewritten != x.redirects {
		return ls.again, matchFinal
	}
	if l := ls.exact[path]; l != nil {
		return l, matchFinal
	}
	if l := ls.slash[path]; l != nil {
		return l, matchSlash
	}
	best, how, stop := ls.longest(path), matchNone, false
	if best != nil {
		how, stop = matchPrefix, best.Kind == LocationPrefixStop
		switch nested, m := best.tree.find(x, path); m {
		case matchPrefix:
			best = nested
		case matchFinal, matchSlash:
			return nested, m
		}
	}
	if stop {
		return best, how
	}
	for _, r := range ls.regexes {
		if r.Regex.Match(x, path) {
			if nested, m := r.tree.find(x, path); m != matchNone {
				return nested, max(m, matchFinal)
			}
			return r, matchFinal
		}
	}
	return best, how
}

func (ls *locations) longest(path string) *Location {
	for _, n := range ls.lengths {
		if n > len(path) {
			continue
		}
		if l := ls.prefix[path[:n]]; l != nil {
			return l
		}
	}
	return nil
}

// index prepares the redirects that add a slash, once the locations are
// compiled. A location named exactly like the path comes before a redirect.
func (ls *locations) index() {
	for name, l := range ls.prefix {
		l.tree.index()
		short, ok := strings.CutSuffix(name, "/")
		if !ok || !l.slash || ls.prefix[short] != nil {
			continue
		}
		if ls.slash == nil {
			ls.slash = map[string]*Location{}
		}
		ls.slash[short] = l
	}
	for _, l := range ls.regexes {
		l.tree.index()
	}
}

// serverName is one name of a server_name directive.
type serverName struct {
	name  string // lower case; "*.example.com", ".example.com", "www.example.*", exact, or ""
	regex *Regexp
}

// serverNames finds the server of a Site by host: exact name, the longest
// wildcard that begins with an asterisk, the longest that ends with one, the
// first regular expression.
type serverNames struct {
	exact   map[string]*Server
	leading map[string]*Server // "example.com" for "*.example.com"
	trail   map[string]*Server // "www.example" for "www.example.*"
	regexes []regexServer
	// longest is the length of the longest key of leading and of trail: no longer
	// part of a host is looked up, or a host of many dots would cost its square.
	longestLeading, longestTrail int
}

type regexServer struct {
	regex  *Regexp
	server *Server
}

// add enters sv's names and returns the names another server has already.
func (t *serverNames) add(sv *Server) (conflicts []string) {
	if t.exact == nil {
		t.exact, t.leading, t.trail = map[string]*Server{}, map[string]*Server{}, map[string]*Server{}
	}
	put := func(m map[string]*Server, key, name string) {
		if other := m[key]; other != nil && other != sv {
			conflicts = append(conflicts, name)
			return
		}
		m[key] = sv
	}
	for _, n := range sv.names {
		switch {
		case n.regex != nil:
			t.regexes = append(t.regexes, regexServer{n.regex, sv})
		case strings.HasPrefix(n.name, "*."):
			put(t.leading, n.name[2:], n.name)
			t.longestLeading = max(t.longestLeading, len(n.name)-2)
		case strings.HasPrefix(n.name, "."):
			put(t.exact, n.name[1:], n.name)
			put(t.leading, n.name[1:], n.name)
			t.longestLeading = max(t.longestLeading, len(n.name)-1)
		case strings.HasSuffix(n.name, ".*"):
			put(t.trail, n.name[:len(n.name)-2], n.name)
			t.longestTrail = max(t.longestTrail, len(n.name)-2)
		default:
			put(t.exact, n.name, n.name)
		}
	}
	return conflicts
}

// find returns the server named host, nil when no name matches. x may be nil
// when captures are not wanted (SNI).
func (t *serverNames) find(x *Exchange, host string) *Server {
	if sv := t.exact[host]; sv != nil {
		return sv
	}
	if sv := t.findWildcard(host); sv != nil {
		return sv
	}
	for _, r := range t.regexes {
		if x == nil && r.regex.MatchString(host) || x != nil && r.regex.Match(x, host) {
			return r.server
		}
	}
	return nil
}

func (t *serverNames) findWildcard(host string) *Server {
	if len(t.leading) > 0 {
		for rest := host[max(len(host)-t.longestLeading-1, 0):]; ; {
			_, after, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			if sv := t.leading[after]; sv != nil {
				return sv
			}
			rest = after
		}
	}
	if len(t.trail) > 0 {
		start := host[:min(len(host), t.longestTrail+1)]
		for i := strings.LastIndexByte(start, '.'); i > 0; i = strings.LastIndexByte(start[:i], '.') {
			if sv := t.trail[start[:i]]; sv != nil {
				return sv
			}
		}
	}
	return nil
}

// Lookup returns the server for host (lower case, without port), the default
// server when no name matches. It captures nothing.
func (s *Site) Lookup(host string) *Server {
	if sv := s.names.find(nil, host); sv != nil {
		return sv
	}
	return s.Default
}

// Named reports whether host, as Lookup has it, chooses among several servers
// by a name of one of them.
func (s *Site) Named(host string) bool {
	return (len(s.Servers) > 1 || len(s.names.regexes) > 0) && s.names.find(nil, host) != nil
}

// Named reports whether one of sv's names, of which "" is none, is for host:
// in lower case, or as server_name has it.
func (sv *Server) Named(host string) bool {
	var own serverNames
	own.add(sv)
	return host != "" && own.find(nil, host) != nil
}

// serverOf returns the server of what comes on c before its host is known: the
// one that SNI has chosen.
func (s *Site) serverOf(c *Conn) *Server {
	if c.TLS == nil || c.TLS.ServerName == "" || len(s.Servers) == 1 {
		return s.Default
	}
	return s.Lookup(strings.ToLower(c.TLS.ServerName))
}

// Site returns the address that x's connection arrived on, as x's Generation
// has it.
func (x *Exchange) Site() *Site { return x.Generation.siteOf(x.Conn) }

func (s *Site) serverFor(x *Exchange, host string) *Server {
	if len(s.Servers) > 1 || len(s.names.regexes) > 0 {
		if sv := s.names.find(x, host); sv != nil {
			return sv
		}
	}
	return s.Default
}
