package proxy

import "errors"

// cursor is the place of an Exchange in the phases. It holds the next action, which no
// goroutine's stack has to hold: an Exchange that waits needs no goroutine, and any
// goroutine can go on with it.
type cursor struct {
	phase Phase
	next  int       // the index of the phase's next action
	in    *Location // the location whose actions run
}

// enter moves the cursor to the beginning of phase p.
func (x *Exchange) enter(p Phase) {
	in := x.Location
	switch {
	case p < findLocation:
		in = x.Server.Root
	case p == PreAccess && x.copied: // its original was counted already
		p += 2
	case p == Access && x.parent != nil: // as in nginx, a subrequest skips the access phase
		p++
	}
	x.cursor = cursor{phase: p, in: in}
}

// advance goes on through the phases after an action or a content handler has returned
// err, until an action or the content returns an error, or the content has responded.
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

// Answer makes h respond, and skips the later phases. The action returns the error that
// Answer returns.
func (x *Exchange) Answer(h Handler) error {
	x.enter(content) // x goes on there if h suspends it
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

// errFindAgain is returned by a Rewrite action that has changed x's path.
var errFindAgain = errors.New("location is to be found again")

// FindAgain makes x find its location again after an action has changed its path. The
// Rewrite action returns the error that FindAgain returns. After 10 calls and internal
// redirects together the request is answered with 500.
func (x *Exchange) FindAgain() error {
	if x.redirects++; x.redirects > maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "rewrite or internal redirection cycle while processing \"" + quotable(x.Req.Path) + "\""}
	}
	return errFindAgain
}
