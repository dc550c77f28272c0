package proxy

import "errors"

// Continuation is what a handler waits for without a goroutine.
type Continuation interface {
	// Park gives the exchange up to whoever resumes it, and is the last that
	// the caller does with it. It returns false when what was waited for is
	// there: the caller resumes the exchange itself.
	Park() bool
	// Continue goes on as the handler would have: what it returns is what the
	// handler's Serve returns. It may suspend again.
	Continue(x *Exchange) error
}

// errSuspended is a handler's that waits.
var errSuspended = errors.New("exchange is suspended")

// Suspend has x wait for k: the handler returns the error that it gives. It is
// nil when x cannot be suspended, and the handler has to wait itself.
func (x *Exchange) Suspend(k Continuation) error {
	if !x.stream.Suspends() {
		return nil
	}
	x.pending = k
	return errSuspended
}

// Suspended reports whether x waits.
func (x *Exchange) Suspended() bool { return x.pending != nil }

// Park is the Continuation's.
func (x *Exchange) Park() bool { return x.pending.Park() }

// Resume goes on with x, for whose Continuation the time has come.
func (e *Engine) Resume(x *Exchange) {
	k := x.pending
	x.pending = nil
	defer e.leave(x)
	defer x.rescue()
	x.settle(x.advance(k.Continue(x)))
}

// leave ends x's stay in its Generation, unless it only waits.
func (e *Engine) leave(x *Exchange) {
	if x.pending == nil {
		x.log()
		e.exit(x.Conn)
	}
}
