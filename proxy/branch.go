package proxy

import (
	"slices"

	"alicorn/config"
)

// branch is an if block or a limit_except block inside a location, compiled as a location
// of its own. Settings of an if block are in effect once its condition holds, those of
// limit_except from the beginning; both until the response has ended.
type branch struct {
	scope    *config.Scope
	location *Location
}

// Branch returns the location of the if block s, which stands in l; nil for an if block
// of a server, which has no settings. The rewrite module sets x.Location to it: then its
// phases after Rewrite run, and its content.
func (l *Location) Branch(s *config.Scope) *Location {
	for _, b := range l.branches {
		if b.scope == s {
			return b.location
		}
	}
	return nil
}

// branch makes the locations of the if blocks and of limit_except in s. Modules fill them
// after l, whose rewriting refers to them.
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

// inherit gives l, the location of such a block, the content of the location around it,
// if the module that is called gave that content and l has none of its own, as in nginx.
func (l *Location) inherit(outer *Location) {
	if outer != nil && outer.provider == l.filling && outer.content != nil {
		l.SetContent(outer.content)
	}
}

// giver returns the index of the module whose directive gives the content of the block s:
// the last one that stands in s, as in nginx, else that of the location around. It is -1
// where there is none.
func (c *compiler) giver(s *config.Scope, outer *Location) int {
	giver, name := -1, ""
	if outer != nil {
		giver = outer.giver
	}
	for _, n := range s.Node.Children {
		i := slices.IndexFunc(c.modules, func(m Module) bool { return slices.Contains(m.Content, n.Name) })
		if i < 0 {
			continue
		}
		if name != "" {
			c.load.Warn(s.Own(name).Pos, "%s has no effect: requests go to the last directive of its kind in the block, %s at %s", name, n.Name, n.Pos)
		}
		giver, name = i, n.Name
	}
	return giver
}
