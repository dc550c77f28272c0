package proxy

import (
	"io"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// Answer is called when the subrequest sub of x has ended. sub.Res has the status and the
// fields, sub the values of variables. The action of x that has called Ask ends with the
// error that Answer returns. Answer must keep nothing of sub.
type Answer func(x, sub *Exchange) error

// Ask sends a subrequest for path and args through the server's phases, and then calls
// answer. The action or handler returns the error that Ask returns, and does not use x any
// more. As in nginx, a subrequest is a GET without a body. It has the fields of the
// client's header, except those about a body, a range or a condition. It begins in the
// server rewrite phase, skips the access phase, and is not logged. The body of its
// response is dropped.
func (x *Exchange) Ask(path, args string, answer Answer) error {
	if x.redirects >= maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "subrequests cycle while asking \"" + quotable(path) + "\""}
	}
	s := &subrequest{parent: x, up: x.Waker(), client: x.wire.Client(), answer: answer}
	s.begin(path, args)
	if s.drive(s.x.serveSub, x.wire) {
		return s.Continue(x)
	}
	return x.Suspend(s)
}

// Mirror sends a copy of x's request, with its method, fields and arguments, to another path
// of the server. Its response is dropped, and it is neither limited, nor authenticated, nor
// logged; it goes on if the client leaves. x goes on at once, but ends only after it. body,
// which may be nil, has the request's body; the copy closes it.
func (x *Exchange) Mirror(path string, body io.ReadCloser) {
	s := &subrequest{parent: x, up: x.Waker()}
	s.begin(path, x.Req.Args)
	if body != nil {
		s.x.KeepBody(body)
	} else {
		s.x.Req.ContentLength, s.x.Req.Chunked = 0, false
		s.x.Req.Header.Del("Content-Length")
		s.x.Req.Header.Del("Transfer-Encoding")
	}
	x.copies.Add(1)
	if x.wire.Suspends() {
		if s.drive(s.x.serveSub, x.wire) {
			s.endCopy()
		}
		return
	}
	go func() {
		if up := s.up; s.drive(s.x.serveSub, nil) {
			s.endCopy()
			up.Wake()
		}
	}()
}

// endCopy ends the subrequest if it is a copy. Its original may end from then on.
func (s *subrequest) endCopy() {
	if s.answer == nil {
		s.x.Release()
		s.parent.copies.Add(-1)
	}
}

// subrequest is the wire of an Exchange that another one, its parent, waits for, and the
// parent's Continuation. The goroutine that brings an event of the subrequest drives it;
// at its end it wakes the parent.
type subrequest struct {
	x      *Exchange
	parent *Exchange
	up     Waker                 // of the parent
	down   Waker                 // of the subrequest
	client Client                // of the parent's wire; may be nil
	answer Answer                // nil: it is a copy, see Mirror
	lead   interface{ Detach() } // the lead that the driving goroutine has; nil: none
	ended  atomic.Bool
}

// begin makes the subrequest's Exchange.
func (s *subrequest) begin(path, args string) {
	p := s.parent
	x := NewExchange(p.Conn, s)
	s.x = x
	x.parent, x.Internal, x.redirects = p, true, p.redirects+1
	x.lease.generation.Store(p.Generation) // p holds it
	x.Generation, x.Server, x.Start = p.Generation, p.Server, p.Now()
	x.Remote, x.User, x.Number = p.Remote, p.User, p.Number
	x.requestID = p.RequestID() // workers log both requests with the same id
	x.vars = append(x.vars[:0], p.vars...)
	r, h := &x.Req, x.Req.Header
	*r = p.Req
	r.Header = h
	if x.copied = s.answer == nil; x.copied && p.bodyEnded {
		x.body, x.bodyRead, x.bodyEnded = p.body, p.bodyRead, true
	}
	if !x.copied {
		r.Method, r.ContentLength, r.Chunked = "GET", 0, false
	}
	for _, f := range p.Req.Header.fields {
		if x.copied || !isOfTheMain(f.id) {
			r.Header.AddID(f.id, f.Name, f.Value)
		}
	}
	x.ChangeURI(path, args)
	s.down = x.Waker()
}

// isOfTheMain reports whether a field is about the body of the client's own request, or
// about its response only.
func isOfTheMain(id FieldID) bool {
	switch id {
	case FieldContentLength, FieldTransferEncoding, FieldExpect, FieldRange, FieldIfRange,
		FieldIfModifiedSince, FieldIfUnmodifiedSince, FieldIfNoneMatch, FieldIfMatch:
		return true
	}
	return false
}

// serveSub serves a subrequest, as Engine.Serve does a client's request.
func (x *Exchange) serveSub() {
	defer x.rescue()
	x.enter(ServerRewrite)
	x.settle(x.advance(nil))
}

// drive goes on with the subrequest, beginning with step, until it has ended or is parked.
// If it is parked, the goroutine that brings its event drives it, perhaps already. lead is
// the caller's lead; nil if it has none.
func (s *subrequest) drive(step func(), lead interface{ Detach() }) (ended bool) {
	for ; ; step = s.x.goOn {
		s.lead = lead
		for step(); s.x.pending != nil && !s.Suspends(); s.x.goOn() {
			s.x.Await()
		}
		s.lead = nil
		if s.x.pending == nil {
			s.ended.Store(true)
			return true
		}
		if s.x.Park() {
			return false
		}
	}
}

// Continue implements Continuation, for the parent. An event of the parent before the
// subrequest has ended may mean that the client has left, so the subrequest gets it.
func (s *subrequest) Continue(x *Exchange) error {
	if !s.ended.Load() {
		s.down.Wake()
		return x.Suspend(s)
	}
	sub := s.x
	defer sub.Release()
	if !sub.Res.sent && Status(sub.Res.Status) == StatusClientClosed {
		return ErrClientGone // not so if an upstream has answered 499: that head was sent
	}
	return s.answer(x, sub)
}

// Resume implements Scheduler.
func (s *subrequest) Resume(t *eventloop.Turn) {
	var lead interface{ Detach() }
	if t != nil {
		lead = t
	}
	if up := s.up; s.drive(s.x.goOn, lead) {
		s.endCopy()
		up.WakeIn(t)
	}
}

// Detach implements Scheduler.
func (s *subrequest) Detach() {
	if s.lead != nil {
		s.lead.Detach()
	}
}

// Suspends implements Scheduler. If the parent cannot be suspended, its goroutine drives
// the subrequest.
func (s *subrequest) Suspends() bool { return s.parent.wire.Suspends() }

// Loop implements Scheduler.
func (s *subrequest) Loop() *eventloop.Loop { return s.parent.wire.Loop() }

// Overran implements Scheduler. The parent counts what blocks its loop.
func (s *subrequest) Overran() bool { return false }

// Now implements Scheduler.
func (s *subrequest) Now() time.Time { return time.Now() }

// Watch implements Scheduler. The parent watches the client.
func (s *subrequest) Watch(*Waiting) bool { return false }

// WriteHints implements ResponseWire.
func (s *subrequest) WriteHints(*Header) error { return nil }

// WriteHead implements ResponseWire. The head stays in the subrequest's Response.
func (s *subrequest) WriteHead(*Exchange, bool) error { return nil }

// Write implements ResponseWire. It drops the body.
func (s *subrequest) Write(p []byte) (int, error) { return len(p), nil }

// SendFile implements ResponseWire.
func (s *subrequest) SendFile(File, int64, int64) error { return nil }

// Flush implements ResponseWire.
func (s *subrequest) Flush() error { return nil }

// Finish implements ResponseWire.
func (s *subrequest) Finish(*Header) error { return nil }

// Abort implements ResponseWire. The subrequest then has the status, but no head was sent.
func (s *subrequest) Abort() {}

// ReadBody implements RequestWire.
func (s *subrequest) ReadBody([]byte) (int, error) { return 0, io.EOF }

// TryReadBody implements RequestWire.
func (s *subrequest) TryReadBody(p []byte) (int, error) { return s.ReadBody(p) }

// AwaitBody implements RequestWire. There is no body to wait for.
func (s *subrequest) AwaitBody() bool { return false }

// Gone implements Scheduler.
func (s *subrequest) Gone() bool { return s.client != nil && s.client.Gone() }

// Client implements Scheduler.
func (s *subrequest) Client() Client { return s.client }

// Meanwhile implements ResponseWire. No call waits.
func (s *subrequest) Meanwhile(func()) {}

// BytesSent implements ResponseWire.
func (s *subrequest) BytesSent() int64 { return 0 }

// BytesRead implements RequestWire.
func (s *subrequest) BytesRead() int64 { return 0 }

// Upgrade implements ResponseWire.
func (s *subrequest) Upgrade(*Exchange) (Upgraded, error) { return nil, ErrNoUpgrade }

// DropConnection implements ResponseWire. The connection belongs to the parent.
func (s *subrequest) DropConnection() {}
