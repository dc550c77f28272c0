package upstream

import "time"

// Failure is why a try has failed, in the terms of nginx's proxy_next_upstream, or a set of
// such reasons.
type Failure uint16

// The reasons. On500 and the like mean that the answer had this status.
const (
	OnError         Failure = 1 << iota // the connection has failed, or the worker has ended
	OnTimeout                           // the peer did not do its part in time
	OnInvalidHeader                     // the head of the answer is not valid
	On500
	On502
	On503
	On504
	On403
	On404
	On429
)

// OnStatus returns the Failure of an answer with this status; 0: it is none.
func OnStatus(status int) Failure {
	switch status {
	case 500:
		return On500
	case 502:
		return On502
	case 503:
		return On503
	case 504:
		return On504
	case 403:
		return On403
	case 404:
		return On404
	case 429:
		return On429
	}
	return 0
}

// Begun says which requests are repeated although a peer may have begun to work on them.
type Begun uint8

// The choices.
const (
	BegunNever      Begun = iota // none, as their work may have had an effect
	BegunIdempotent              // those whose effect is the same if they come twice
	BegunAlways                  // all
)

// Repeat is the rule which requests are sent again after a failed try. For servers
// proxy_next_upstream and its like set it; a pool of workers has one of its own.
type Repeat struct {
	On      Failure       // the failures after which a request is repeated
	Begun   Begun         // which requests are repeated that a peer may have begun
	Tries   int           // the largest number of tries; 0: no bound
	Timeout time.Duration // the time after the request came in which it may be repeated; 0: no bound
}

// Outcome describes a failed try.
type Outcome struct {
	Failure  Failure
	Method   string
	Begun    bool          // the peer may have begun to work on the request
	Consumed bool          // bytes of its body were passed on and not kept
	Answered bool          // the client has got a part of the answer
	Stale    bool          // the peer had closed the kept connection: the try does not count
	Tries    int           // so far, with this one
	Took     time.Duration // since the request came; used only if the rule has a Timeout
}

// Allows reports whether the request may be sent again after o. It may not if the client
// has got a part of the answer, if the body is lost, or if the peer may have begun and the
// rule does not allow that. On, Tries and Timeout do not apply to a Stale try.
func (r *Repeat) Allows(o *Outcome) bool {
	switch {
	case o.Answered, o.Consumed:
		return false
	case o.Begun && !r.allowsBegun(o.Method):
		return false
	case o.Stale:
		return true
	}
	return r.On&o.Failure != 0 && (r.Tries == 0 || o.Tries < r.Tries) && (r.Timeout == 0 || o.Took < r.Timeout)
}

func (r *Repeat) allowsBegun(method string) bool {
	return r.Begun == BegunAlways || r.Begun == BegunIdempotent && IsIdempotent(method)
}

// IsIdempotent reports whether nginx repeats a request of the method that a peer may have
// begun, without non_idempotent.
func IsIdempotent(method string) bool {
	switch method {
	case "POST", "LOCK", "PATCH":
		return false
	}
	return true
}
