package upstream

import "time"

// Failure is a way in which a try to have a request answered has failed, as nginx's
// proxy_next_upstream names them; or a set of such ways.
type Failure uint16

// The failures. Those with a number are answers of that status.
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

// OnStatus returns the failure that an answer of the status is; 0 for most.
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

// Begun says which requests are repeated that a peer may have begun to work on.
type Begun uint8

// The choices.
const (
	BegunNever      Begun = iota // none: what runs may have had its effect
	BegunIdempotent              // those whose effect is the same when they come twice
	BegunAlways
)

// Repeat is the rule which requests are sent once more when a try has failed. It is the
// same rule for all upstreams: servers have what proxy_next_upstream says in it, a pool
// of workers what is true of applications.
type Repeat struct {
	On      Failure       // the failures after which a request is repeated
	Begun   Begun         // those of the requests that a peer may have begun to work on
	Tries   int           // the largest number of tries; 0: no bound
	Timeout time.Duration // for how long after the request came; 0: no bound
}

// Outcome is a try that has failed, as far as it counts for another one.
type Outcome struct {
	Failure  Failure
	Method   string
	Begun    bool          // the peer may have begun to work on the request
	Consumed bool          // bytes of its body were passed on and not kept
	Answered bool          // the answer has begun to reach the client
	Stale    bool          // a kept connection had ended before: it is no try of its own
	Tries    int           // so far, with this one
	Took     time.Duration // since the request came; counts where the rule has a Timeout
}

// Allows reports whether the request may be sent once more after o. What cannot be
// undone forbids it: an answer that the client sees, a body that is gone, work that was
// begun. What the configuration says of failures, tries and time does not concern a
// try that was none.
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

// IsIdempotent reports whether a request of the method may come twice, as nginx sees it.
func IsIdempotent(method string) bool {
	switch method {
	case "POST", "LOCK", "PATCH":
		return false
	}
	return true
}
