package proxy

import (
	"io"
	"sync/atomic"
	"time"

	"alicorn/proxy/eventloop"
)

// Answer takes the answer of a subrequest. sub is its Exchange, which has ended: status
// and fields are in sub.Res, and sub has the values of variables. The action of x that
// has asked ends with what Answer returns. Answer keeps nothing of sub.
type Answer func(x, sub *Exchange) error

// Ask has the server itself answer a request for path and args, and goes on with
// answer. The action or handler returns the error that Ask returns, and leaves x alone.
// As in nginx a subrequest is a GET without a body. It has the client's header without
// the fields about a body, a range or a condition. It begins in the server rewrite
// phase, skips the access phase, and is not logged. Only the head of its answer counts.
func (x *Exchange) Ask(path, args string, answer Answer) error {
	if x.redirects >= maxInternalRedirects {
		return &Fail{Status: 500, Level: LevelError, Reason: "subrequests cycle while asking \"" + printable(path) + "\""}
	}
	s := &subrequest{parent: x, up: x.Waker(), client: x.wire.Client(), answer: answer}
	s.begin(path, args)
	if s.drive(s.x.serveSub, x.wire) {
		return s.Continue(x)
	}
	return x.Suspend(s)
}

// subrequest is the wire of an Exchange that another one waits for, and the
// Continuation of that one. Whoever brings an event of the subrequest drives it; at its
// end it wakes its parent.
type subrequest struct {
	x      *Exchange
	parent *Exchange
	up     Waker
	down   Waker
	client Client // the parent's; nil where it cannot be looked at
	answer Answer
	lead   interface{ Detach() } // of the loop whose goroutine drives x; nil: of none
	ended  atomic.Bool
}

// begin makes the Exchange.
func (s *subrequest) begin(path, args string) {
	p := s.parent
	x := NewExchange(p.Conn, s)
	s.x = x
	x.parent, x.Internal, x.redirects = p, true, p.redirects+1
	x.lease.generation.Store(p.Generation) // p holds it
	x.Generation, x.Server, x.Start = p.Generation, p.Server, p.Now()
	x.Remote, x.User, x.Number = p.Remote, p.User, p.Number
	x.requestID = p.RequestID() // what a worker logs of either request has one id
	x.vars = append(x.vars[:0], p.vars...)
	r, h := &x.Req, x.Req.Header
	*r = p.Req
	r.Header, r.Method, r.ContentLength, r.Chunked = h, "GET", 0, false
	for _, f := range p.Req.Header.fields {
		if !isOfTheMain(f.id) {
			r.Header.AddID(f.id, f.Name, f.Value)
		}
	}
	x.ChangeURI(path, args)
	s.down = x.Waker()
}

// isOfTheMain reports whether a field is about the body or the answer of the request
// that the client has sent.
func isOfTheMain(id FieldID) bool {
	switch id {
	case FieldContentLength, FieldTransferEncoding, FieldExpect, FieldRange, FieldIfRange,
		FieldIfModifiedSince, FieldIfUnmodifiedSince, FieldIfNoneMatch, FieldIfMatch:
		return true
	}
	return false
}

// serveSub begins what Engine.Serve does for the client's requests.
func (x *Exchange) serveSub() {
	defer x.rescue()
	x.enter(ServerRewrite)
	x.settle(x.advance(nil))
}

// drive has x go on with step and what follows it, until it has ended or is parked: who
// brings its event drives it then, perhaps already. lead may be nil.
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

// Continue is the parent's. Where the subrequest has not ended, the client may have left:
// the subrequest looks.
func (s *subrequest) Continue(x *Exchange) error {
	if !s.ended.Load() {
		s.down.Wake()
		return x.Suspend(s)
	}
	sub := s.x
	defer sub.Release()
	if Status(sub.Res.Status) == StatusClientClosed {
		return ErrClientGone
	}
	return s.answer(x, sub)
}

// Resume is Scheduler's.
func (s *subrequest) Resume(t *eventloop.Turn) {
	var lead interface{ Detach() }
	if t != nil {
		lead = t
	}
	if up := s.up; s.drive(s.x.goOn, lead) {
		up.WakeIn(t)
	}
}

// Detach is Scheduler's.
func (s *subrequest) Detach() {
	if s.lead != nil {
		s.lead.Detach()
	}
}

// Suspends is Scheduler's: a parent that needs its goroutine lends it.
func (s *subrequest) Suspends() bool { return s.parent.wire.Suspends() }

// Loop is Scheduler's.
func (s *subrequest) Loop() *eventloop.Loop { return s.parent.wire.Loop() }

// Overran is Scheduler's. What blocks the loop of the parent counts there.
func (s *subrequest) Overran() bool { return false }

// Now implements Scheduler.
func (s *subrequest) Now() time.Time { return time.Now() }

// Watch is Scheduler's. The parent hears of its client.
func (s *subrequest) Watch(*Waiting) bool { return false }

// WriteHead is ResponseWire's. The head stays where it is.
func (s *subrequest) WriteHead(*Exchange, bool) error { return nil }

// Write is ResponseWire's. A subrequest's Response writes nothing: it has no body.
func (s *subrequest) Write(p []byte) (int, error) { return len(p), nil }

// SendFile is ResponseWire's.
func (s *subrequest) SendFile(File, int64, int64) error { return nil }

// Flush is ResponseWire's.
func (s *subrequest) Flush() error { return nil }

// Finish is ResponseWire's.
func (s *subrequest) Finish() error { return nil }

// Abort is ResponseWire's. What has sent no head is no answer.
func (s *subrequest) Abort() {}

// ReadBody is RequestWire's.
func (s *subrequest) ReadBody([]byte) (int, error) { return 0, io.EOF }

// TryReadBody is RequestWire's.
func (s *subrequest) TryReadBody(p []byte) (int, error) { return s.ReadBody(p) }

// AwaitBody is RequestWire's: nobody waits for a body.
func (s *subrequest) AwaitBody() bool { return false }

// Gone is Scheduler's.
func (s *subrequest) Gone() bool { return s.client != nil && s.client.Gone() }

// Client is Scheduler's.
func (s *subrequest) Client() Client { return s.client }

// BytesSent is ResponseWire's.
func (s *subrequest) BytesSent() int64 { return 0 }

// BytesRead is RequestWire's.
func (s *subrequest) BytesRead() int64 { return 0 }

// Upgrade is ResponseWire's.
func (s *subrequest) Upgrade(*Exchange) (Upgraded, error) { return nil, ErrNoUpgrade }

// DropConnection is ResponseWire's. The connection is the parent's.
func (s *subrequest) DropConnection() {}
