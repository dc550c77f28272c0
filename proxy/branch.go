package proxy

import "alicorn/config"

// branch is the location that an if block inside a location is: its settings
// are in effect from when its condition holds until the response has ended.
type branch struct {
	scope    *config.Scope
	location *Location
}

// Branch returns the location that the if block s, which stands in l, is; nil
// for an if block of a server, which has no settings. Rewriting makes it
// x.Location: the phases after Rewrite and the content are its own then.
func (l *Location) Branch(s *config.Scope) *Location {
	for _, b := range l.branches {
		if b.scope == s {
			return b.location
		}
	}
	return nil
}

// branch makes the locations of the if blocks in s. They are compiled after l,
// whose rewriting refers to them.
func (c *compiler) branch(s *config.Scope, l *Location) {
	for _, b := range s.Blocks {
		if b.Context == config.LocationIf {
			l.branches = append(l.branches, branch{b, c.newLocation(b, l.Server, l.Kind)})
		}
	}
}

// inherit gives the location of an if block the content that the module at i
// gave the location around it, unless it has its own, as in nginx.
func (l *Location) inherit(outer *Location, i int) {
	if outer != nil && outer.provider == i && outer.content != nil {
		l.SetContent(outer.content)
	}
}
