package proxy

import (
	"errors"
	"net/http"
)

// Status is an error that stands for an HTTP status: a handler returns it
// instead of responding, and error_page or a status page answers.
type Status int

// The statuses of nginx that HTTP does not define. They select error_page
// entries and appear in logs; 494 to 497 go out as 400.
const (
	StatusClosed         Status = 444 // close without a response
	StatusHeaderTooLarge Status = 494
	StatusCertError      Status = 495
	StatusNoCert         Status = 496
	StatusHTTPToHTTPS    Status = 497
	StatusClientClosed   Status = 499 // the client left; never sent
	maxInternalRedirects        = 10
)

// Error returns the status line's words: "404 Not Found".
func (s Status) Error() string { return string(appendStatus(nil, int(s))) }

// Code returns the number that goes to the client.
func (s Status) Code() int {
	if s >= StatusHeaderTooLarge && s <= StatusHTTPToHTTPS {
		return http.StatusBadRequest
	}
	return int(s)
}

// StatusText returns the reason phrase of code, "" for unknown codes: RFC 9110
// section 15's, but nginx's where the two differ, which clients' tests and
// filters of logs look for.
func StatusText(code int) string {
	switch code {
	case 302:
		return "Moved Temporarily"
	case 405:
		return "Not Allowed"
	case 408:
		return "Request Time-out"
	case 413:
		return "Request Entity Too Large"
	case 414:
		return "Request-URI Too Large"
	case 416:
		return "Requested Range Not Satisfiable"
	case 503:
		return "Service Temporarily Unavailable"
	case 504:
		return "Gateway Time-out"
	}
	return http.StatusText(code)
}

// pageText is what the page of code says after the number: nginx's pages differ
// from its status lines for two codes.
func pageText(code int) string {
	switch code {
	case 302:
		return "Found"
	case 401:
		return "Authorization Required"
	}
	return StatusText(code)
}

func appendStatus(dst []byte, code int) []byte {
	dst = append(dst, byte('0'+code/100%10), byte('0'+code/10%10), byte('0'+code%10))
	if t := StatusText(code); t != "" {
		dst = append(append(dst, ' '), t...)
	}
	return dst
}

// Fail is a Status with the reason that the error log gets. It is logged
// once, at Level, when it is turned into a response.
type Fail struct {
	Status Status
	Level  Level
	Reason string
	// RetryAfter, in seconds, goes out as Retry-After unless it is 0.
	RetryAfter int
	// Field goes out with the status unless its Name is "": Allow with 405,
	// Content-Range with 416.
	Field Field
	More  []Field // others that go out with the status
}

// Error returns the reason.
func (f *Fail) Error() string { return f.Reason }

// Redirect is an internal redirect: the request goes on as if it had come for
// URI (a path, with "?args" when HasArgs) or to the named location.
type Redirect struct {
	URI   string // normalised path; for a named location its name with "@"
	Args  string
	Named bool
}

// Error describes the redirect; it is an error only in the sense of Go's type.
func (r *Redirect) Error() string { return "internal redirect to " + r.URI }

// Done is returned by a phase's action that has given the whole response.
var Done = errors.New("response complete")

// ErrClientGone is returned by writes and body reads once the client's
// connection is known to be broken. It is logged at info as nginx does.
var ErrClientGone = errors.New("client closed connection")
