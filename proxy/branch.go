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

// dispatch lets the phases after Rewrite, and the content, be those of the
// location that rewriting has chosen.
func (l *Location) dispatch() {
	plain := *l
	l.plain = &plain
	for p := Rewrite + 1; p < numPhases; p++ {
		l.phases[p] = []Action{func(x *Exchange) error { return x.do(x.Location.chosen().phases[p]) }}
	}
	l.content = HandlerFunc(func(x *Exchange) error {
		if h := x.Location.chosen().content; h != nil {
			return h.Serve(x)
		}
		return Status(404)
	})
}

func (l *Location) chosen() *Location {
	if l.plain != nil {
		return l.plain
	}
	return l
}

// FindAgain finds the location for x's path, which rewriting has changed, and
// gives the response there. A Rewrite action ends with the error it returns.
// More than 10 such turns and internal redirects together are answered 500.
func (x *Exchange) FindAgain() error {
	if x.redirects++; x.redirects > maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "rewrite or internal redirection cycle while processing \"" + printable(x.Req.Path) + "\""}
	}
	x.rewritten = x.redirects
	return orDone(x.enterPath())
}

// againFor returns what internal redirects find first in a server that
// rewrites: its rewriting again, as in nginx.
func againFor(sv *Server) *Location {
	core := *sv.Root.Core
	core.MaxBodySize = 0 // the real location bounds it
	l := &Location{Kind: LocationServer, Pos: sv.Pos, Core: &core, Server: sv}
	l.On(Rewrite, (*Exchange).rewriteAgain)
	return l
}

// rewriteAgain repeats the server's rewriting and then finds the location.
func (x *Exchange) rewriteAgain() error {
	x.rewritten = x.redirects
	x.Location = nil
	if err := x.do(x.Server.rewrite); err != nil {
		return err
	}
	return orDone(x.enterPath())
}
