package proxy

import "errors"

// cursor is where an Exchange stands on its way through the phases: what comes
// next is in it, and not in the calls that have led there. An Exchange that waits
// can therefore let its goroutine go, and go on from here on another one.
type cursor struct {
	phase Phase
	next  int       // the action of the phase that comes next
	in    *Location // whose actions they are
}

// enter moves the cursor to the beginning of phase p.
func (x *Exchange) enter(p Phase) {
	in := x.Location
	switch {
	case p < findLocation:
		in = x.Server.Root
	case p == Access && x.parent != nil: // whoever asks has access
		p++
	}
	x.cursor = cursor{phase: p, in: in}
}

// advance goes on behind an action or a content handler that has returned err,
// through the phases that are left, as far as they return no error.
func (x *Exchange) advance(err error) error {
	for {
		switch {
		case err == errFindAgain:
			x.enter(findLocation)
		case err != nil || x.cursor.phase == content:
			return err
		}
		err = x.step()
	}
}

// step does what is left of the cursor's phase, and enters the next one. Behind
// the last it has the content handler respond.
func (x *Exchange) step() error {
	c := &x.cursor
	if c.phase == findLocation {
		return x.findLocation()
	}
	for actions := c.in.phases[c.phase]; c.next < len(actions); {
		action := actions[c.next]
		c.next++
		if err := action(x); err != nil {
			return err
		}
	}
	if x.enter(c.phase + 1); c.phase < content {
		return nil
	}
	if c.in.content == nil {
		return Status(404)
	}
	return c.in.content.Serve(x)
}

// Answer has h respond in place of the phases that are left. An action ends with
// what it returns.
func (x *Exchange) Answer(h Handler) error {
	x.enter(content) // where x goes on when h suspends it
	if err := h.Serve(x); err != nil {
		return err
	}
	return Done
}

// findLocation finds the location for the path and enters it.
func (x *Exchange) findLocation() error {
	l, how, err := x.Server.locations.find(x, x.Req.Path)
	switch {
	case err != nil:
		return err
	case l == nil:
		l = x.Server.Root
	case how == matchSlash:
		x.Location = l
		return x.RedirectPath(301, l.Name)
	}
	x.Location = l
	if l.Core.Internal && !x.Internal {
		return Status(404)
	}
	return x.enterLocation(l)
}

// enterLocation moves the cursor to l's phases.
func (x *Exchange) enterLocation(l *Location) error {
	x.Location = l
	if limit := l.Core.MaxBodySize; limit > 0 && x.Req.ContentLength > limit && !x.status.inPage {
		return x.bodyTooLarge(x.Req.ContentLength)
	}
	x.enter(Rewrite)
	return nil
}

// errFindAgain is returned by a Rewrite action after which the location is found
// anew.
var errFindAgain = errors.New("location is to be found again")

// FindAgain has the location found for x's path, which rewriting has changed. A
// Rewrite action ends with the error it returns. More than 10 such turns and
// internal redirects together are answered 500.
func (x *Exchange) FindAgain() error {
	if x.redirects++; x.redirects > maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "rewrite or internal redirection cycle while processing \"" + printable(x.Req.Path) + "\""}
	}
	return errFindAgain
}
