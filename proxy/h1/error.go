package h1

import "strconv"

// Error describes a message that is malformed or not supported.
type Error struct {
	// Status is the status with which a server answers such a request: one of RFC 9110,
	// or nginx's 494. For a response it means nothing.
	Status int
	// What is what the peer has sent, as the object of "client sent": "an invalid chunk
	// size", or in nginx's words "too long URI". It is empty if the status says everything.
	What string
}

// Error returns What. If that is empty, it names the status.
func (e *Error) Error() string {
	if e.What == "" {
		return "a request that is answered with " + strconv.Itoa(e.Status)
	}
	return e.What
}

// The statuses of errors.
const (
	badRequest     = 400
	notAllowed     = 405
	uriTooLong     = 414
	expectFailed   = 417
	headerTooLarge = 494 // of nginx
	notImplemented = 501
	badVersion     = 505
)

func bad(what string) error { return &Error{badRequest, what} }
