package proxy

import "errors"

// cursor is the place of an Exchange in the phases. As the next action is here, and not
// on a goroutine's stack, an Exchange that waits needs no goroutine, and another one can
// go on with it.
type cursor struct {
	phase Phase
	next  int       // the index of the phase's next action
	in    *Location // whose actions run
}

// enter moves the cursor to the beginning of phase p.
func (x *Exchange) enter(p Phase) {
	in := x.Location
	switch {
	case p < findLocation:
		in = x.Server.Root
	case p == Access && x.parent != nil: // a subrequest needs no access of its own
		p++
	}
	x.cursor = cursor{phase: p, in: in}
}

// advance goes on after an action or a content handler that has returned err, through
// the later phases, until one returns an error.
func (x *Exchange) advance(err error) error {
	for {
		switch {
		case err == errFindAgain:
			x.enter(findLocation)
		case err != nil && x.cursor.phase == Access:
			if err = x.weigh(err); err != nil {
				return err
			}
		case err != nil || x.cursor.phase == content:
			return err
		}
		err = x.step()
	}
}

// step runs the rest of the cursor's phase, and enters the next one. After the last phase
// it calls the content handler.
func (x *Exchange) step() error {
	c := &x.cursor
	if c.phase == findLocation {
		return x.findLocation()
	}
	for actions := c.in.phases[c.phase]; c.next < len(actions); {
		action := actions[c.next]
		c.next++
		err := action(x)
		if x.fault != nil && err != errSuspended {
			err = x.TakeFault()
		}
		if err != nil {
			return err
		}
	}
	ended := c.phase
	x.enter(c.phase + 1)
	if ended == Access && x.refusal != nil {
		return x.refused()
	}
	if c.phase < content {
		return nil
	}
	if c.in.content == nil {
		return Status(404)
	}
	return c.in.content.Serve(x)
}

// Answer makes h respond in place of the later phases. The action returns the error that
// Answer returns.
func (x *Exchange) Answer(h Handler) error {
	x.enter(content) // there x goes on after h has suspended it
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
	l = l.forMethod(x.Req.Method)
	x.Location = l
	if limit := l.Core.MaxBodySize; limit > 0 && x.Req.ContentLength > limit && !x.status.inPage {
		return x.bodyTooLarge(x.Req.ContentLength)
	}
	x.enter(Rewrite)
	return nil
}

// errFindAgain is returned by a Rewrite action to find the location again.
var errFindAgain = errors.New("location is to be found again")

// FindAgain makes the location be found again, after rewriting has changed x's path. A
// Rewrite action returns the error that FindAgain returns. More than 10 calls and
// internal redirects together are answered with 500.
func (x *Exchange) FindAgain() error {
	if x.redirects++; x.redirects > maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "rewrite or internal redirection cycle while processing \"" + printable(x.Req.Path) + "\""}
	}
	return errFindAgain
}
