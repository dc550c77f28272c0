package proxy

import (
	"errors"
	"time"
)

// Granted is returned by an action of the Access phase that lets the request in. It is
// not a failure.
var Granted = errors.New("access granted")

// weigh applies satisfy to the result of an action of the Access phase; it returns nil if
// the request goes on. With satisfy all each action must return Granted or nil. With
// satisfy any the first Granted ends the phase, and refusals wait for its end.
func (x *Exchange) weigh(result error) error {
	one := x.cursor.in.Core.SatisfyAny
	switch {
	case result == errSuspended:
		return result
	case result == Granted && one:
		x.refusal = nil
		x.enter(Access + 1)
		return nil
	case result == Granted:
		return nil
	case one && x.noteRefusal(result):
		return nil
	}
	x.refusal = nil
	if StatusOf(result) == 401 {
		return x.unauthorized(result)
	}
	return result
}

// noteRefusal keeps a refusal, 401 or 403, for the end of the phase. It returns false if
// result is not one. 401 takes precedence, with the challenges of all refusals.
func (x *Exchange) noteRefusal(result error) bool {
	var f *Fail
	status, isStatus := result.(Status)
	if errors.As(result, &f) {
		status = f.Status
	} else if !isStatus {
		return false
	}
	if status != 401 && status != 403 {
		return false
	}
	if x.refusal == nil {
		x.refusal = &Fail{Status: status}
	}
	if status == 401 {
		x.refusal.Status = status
		if f != nil && f.Field.Name != "" {
			x.refusal.More = append(x.refusal.More, f.Field)
		}
	}
	return true
}

// refused returns the refusal that answers the request at the end of the Access phase.
func (x *Exchange) refused() error {
	r := x.refusal
	if x.refusal = nil; r.Status == 403 {
		return Forbidden()
	}
	return x.unauthorized(r)
}

// unauthorized answers with err, a 401, after auth_delay.
func (x *Exchange) unauthorized(err error) error {
	delay := x.cursor.in.Core.AuthDelay
	if delay == 0 {
		return err
	}
	x.Log(LevelInfo, "delaying unauthorized request")
	x.enter(Access + 1) // the phase is over
	x.waiting.due = time.Now().Add(delay)
	return delayed{err}.Continue(x)
}

// delayed is the Continuation of a 401 that waits for auth_delay.
type delayed struct{ err error }

// Continue suspends x until its time is over.
func (d delayed) Continue(x *Exchange) error {
	switch err := (sleep{}).Continue(x); err {
	case nil:
		return d.err
	case errSuspended:
		return x.Suspend(d)
	default:
		return err
	}
}

// Forbidden returns the error for a request that a rule refuses: 403, with nginx's line
// for the error log.
func Forbidden() error {
	return &Fail{Status: 403, Level: LevelError, Reason: "access forbidden by rule"}
}
