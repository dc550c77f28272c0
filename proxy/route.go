package proxy

import (
	"cmp"
	"slices"
	"strings"
)

// locations is one level of location blocks, indexed for find: exact names, prefixes from
// the longest to the shortest, and regular expressions in the order of the file.
type locations struct {
	exact   map[string]*Location
	lengths []int // the distinct lengths of keys of prefix, longest first
	prefix  map[string]*Location
	slash   map[string]*Location // locations with RedirectSlash, by name without its last slash
	regexes []*Location
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

// duplicate returns the location of this level that has l's name and kind, or nil.
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
	matchPrefix       // by a prefix; regular expressions of outer levels may still win
	matchFinal        // by an exact name or a regular expression
	matchSlash        // the location's name is the path and a slash: redirect
)

// find returns the location for path, as nginx chooses it. An exact name wins. Otherwise
// find takes the longest prefix, and searches its nested locations, where an exact name or
// a regular expression wins. Otherwise, unless the prefix is ^~, the first regular
// expression that matches wins, with its nested locations. Otherwise the prefix wins. The
// error is that of a regular expression.
func (ls *locations) find(x *Exchange, path string) (*Location, match, error) {
	if l := ls.exact[path]; l != nil {
		return l, matchFinal, nil
	}
	if l := ls.slash[path]; l != nil {
		return l, matchSlash, nil
	}
	best, how, stop := ls.longest(path), matchNone, false
	if best != nil {
		how, stop = matchPrefix, best.Kind == LocationPrefixStop
		switch nested, m, err := best.tree.find(x, path); {
		case err != nil:
			return nil, matchNone, err
		case m == matchPrefix:
			best = nested
		case m != matchNone:
			return nested, m, nil
		}
	}
	if !stop && len(ls.regexes) > 0 {
		if l, m, err := ls.findRegex(x, path); err != nil || m != matchNone {
			return l, m, err
		}
	}
	return best, how, nil
}

func (ls *locations) findRegex(x *Exchange, path string) (*Location, match, error) {
	for _, r := range ls.regexes {
		ok, err := r.Regex.Match(x, path)
		if err != nil {
			return nil, matchNone, err
		}
		if !ok {
			continue
		}
		nested, m, err := r.tree.find(x, path)
		if err != nil || m != matchNone {
			return nested, max(m, matchFinal), err
		}
		return r, matchFinal, nil
	}
	return nil, matchNone, nil
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

// index fills slash, once the locations are compiled. A location whose name is the path
// without the slash takes precedence over a redirect.
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

// serverNames finds a server by host: by the names in hosts, then by the first regular
// expression that matches.
type serverNames struct {
	hosts   Hosts[*Server]
	regexes []regexServer
}

type regexServer struct {
	regex  *Regexp
	server *Server
}

// add adds sv's names. It returns those that another server has already.
func (t *serverNames) add(sv *Server) (conflicts []string) {
	for _, n := range sv.names {
		if n.regex != nil {
			t.regexes = append(t.regexes, regexServer{n.regex, sv})
		} else if other, taken := t.hosts.Add(n.name, sv); taken && other != sv {
			conflicts = append(conflicts, n.name)
		}
	}
	return conflicts
}

// find returns the server that host names, nil if no name matches. x is the Exchange that
// may have to wait for a regular expression; nil if the caller leads no loop, as in a
// handshake. With captures, x gets the groups that match. The error is that of a regular
// expression.
func (t *serverNames) find(x *Exchange, host string, captures bool) (*Server, error) {
	if sv, ok := t.hosts.Find(host); ok {
		return sv, nil
	}
	for _, r := range t.regexes {
		var ok bool
		var err error
		if captures {
			ok, err = r.regex.Match(x, host)
		} else {
			ok, err = r.regex.MatchString(x, host)
		}
		switch {
		case err != nil:
			return nil, err
		case ok:
			return r.server, nil
		}
	}
	return nil, nil
}

// Lookup returns the server for host (lower case, without port), the default server if no
// name matches. It captures nothing. x is nil if the caller leads no loop. After an error,
// which is that of a regular expression, the server is not known.
func (s *Site) Lookup(x *Exchange, host string) (*Server, error) {
	sv, err := s.names.find(x, host, false)
	if sv == nil && err == nil {
		sv = s.Default
	}
	return sv, err
}

// Named reports whether host, in the form that Lookup takes, matches a name of a server,
// and the Site has several servers or a regular expression.
func (s *Site) Named(x *Exchange, host string) (bool, error) {
	if len(s.Servers) <= 1 && len(s.names.regexes) == 0 {
		return false, nil
	}
	sv, err := s.names.find(x, host, false)
	return sv != nil, err
}

// Named reports whether one of sv's names matches host, which is in lower case, or a name
// such as *.example.com as server_name has it. "" matches none.
func (sv *Server) Named(host string) (bool, error) {
	if host == "" {
		return false, nil
	}
	var own serverNames
	own.add(sv)
	found, err := own.find(nil, host, false)
	return found != nil, err
}

// serverOf returns the server for a request of x's connection whose host is not known: the
// one that the name in the TLS handshake (SNI) chooses, otherwise the default server.
func (s *Site) serverOf(x *Exchange) *Server {
	c := x.Conn
	if c.TLS == nil || c.TLS.ServerName == "" || len(s.Servers) == 1 {
		return s.Default
	}
	sv, err := s.Lookup(x, strings.ToLower(c.TLS.ServerName))
	if err != nil { // the handshake has failed then, too, or another Generation has done it
		return s.Default
	}
	return sv
}

// Site returns the Site, in x's Generation, of the address that x's connection came to.
func (x *Exchange) Site() *Site { return x.Generation.siteOf(x.Conn) }

// serverFor returns the server for host. After an error it is the default server, which
// answers with that error.
func (s *Site) serverFor(x *Exchange, host string) (*Server, error) {
	if len(s.Servers) > 1 || len(s.names.regexes) > 0 {
		sv, err := s.names.find(x, host, true)
		if err != nil {
			return s.Default, err
		}
		if sv != nil {
			return sv, nil
		}
	}
	return s.Default, nil
}
