package h1

import "strconv"

// Error is a message that is not well-formed, or not one that is served.
type Error struct {
	// Status is what a server answers such a request with: one of HTTP, or
	// nginx's 494. Who reads a response has no use for it.
	Status int
	// What was sent, as the object of a sentence: "an invalid chunk size". It is
	// empty where the status says it all.
	What string
}

// Error says what was sent.
func (e *Error) Error() string {
	if e.What == "" {
		return "a request that is answered with " + strconv.Itoa(e.Status)
	}
	return e.What
}

const (
	badRequest     = 400
	notAllowed     = 405
	uriTooLong     = 414
	expectFailed   = 417
	headerTooLarge = 494 // nginx's own
	notImplemented = 501
	badVersion     = 505
)

func bad(what string) error { return &Error{badRequest, what} }
