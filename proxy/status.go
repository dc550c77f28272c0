package proxy

import (
	"errors"
	"net/http"
)

// Status is an error that stands for an HTTP status. A handler returns it instead of
// responding; then error_page or a status page answers.
type Status int

// The statuses of nginx that HTTP does not define. They select error_page entries and
// appear in logs. 494 to 497 are sent as 400.
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

// Code returns the number that is sent to the client.
func (s Status) Code() int {
	if s >= StatusHeaderTooLarge && s <= StatusHTTPToHTTPS {
		return http.StatusBadRequest
	}
	return int(s)
}

// StatusText returns the reason phrase of code, "" for unknown codes. It is that of RFC
// 9110 section 15; where nginx has another, it is nginx's, as clients' tests and filters
// of logs look for that.
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

// pageText returns the text after the number on the page of code: nginx's pages differ
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

// Fail is a Status with a reason for the error log. It is logged once, at Level, when it
// is turned into a response. An empty Reason is not logged.
type Fail struct {
	Status Status
	Level  Level
	Reason string
	// RetryAfter is sent as Retry-After, in seconds; 0 sends none.
	RetryAfter int
	// Field is sent with the status, such as Allow with 405 and Content-Range with 416;
	// none if its Name is "".
	Field Field
	More  []Field // further fields to send
}

// Error returns the reason.
func (f *Fail) Error() string { return f.Reason }

// Redirect is an internal redirect: the request goes on as if the client had asked for
// URI and Args, or in the named location, with its path and arguments as they are.
type Redirect struct {
	URI   string // a decoded, normalised path; for a named location its name with "@"
	Args  string // without "?"
	Named bool
}

// Error describes the redirect, which is not a failure.
func (r *Redirect) Error() string { return "internal redirect to " + r.URI }

// Done is returned by an action that has made the whole response.
var Done = errors.New("response complete")

// ErrClientGone is returned by writes and body reads once the client's
// connection is known to be broken. It is logged at info as nginx does.
var ErrClientGone = errors.New("client closed connection")
