package proxy

import "alicorn/config"

// branch is the location that an if block or a limit_except block inside a location
// is: its settings are in effect from when its condition holds, or from the beginning,
// until the response has ended.
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

// branch makes the locations of the if blocks and of limit_except in s. They are
// compiled after l, whose rewriting refers to them.
func (c *compiler) branch(s *config.Scope, l *Location) {
	for _, b := range s.Blocks {
		if b.Context&(config.LocationIf|config.LimitExcept) == 0 {
			continue
		}
		inner := c.newLocation(b, l.Server, l.Kind)
		l.branches = append(l.branches, branch{b, inner})
		if b.Context == config.LimitExcept {
			l.except = &except{c.settings(b).location.methods.Items(), inner}
		}
	}
}

// inherit gives the location of such a block the content that the module at i
// gave the location around it, unless it has its own, as in nginx.
func (l *Location) inherit(outer *Location, i int) {
	if outer != nil && outer.provider == i && outer.content != nil {
		l.SetContent(outer.content)
	}
}
