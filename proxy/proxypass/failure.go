package proxypass

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"alicorn/proxy"
)

// failureKind is what went wrong with a peer, as proxy_next_upstream names it; a set of them.
type failureKind uint16

const (
	kindError failureKind = 1 << iota
	kindTimeout
	kindInvalidHeader
	kind500
	kind502
	kind503
	kind504
	kind403
	kind404
	kind429
	kindNonIdempotent
)

// failures are kinds without an answer.
const failures = kindError | kindTimeout | kindInvalidHeader

// harmless are kinds that are no failure of the peer, though another one may be asked.
const harmless = kind403 | kind404

// kindOfStatus returns the kind that an answer of the status is, 0 for most.
func kindOfStatus(status int) failureKind {
	switch status {
	case 500:
		return kind500
	case 502:
		return kind502
	case 503:
		return kind503
	case 504:
		return kind504
	case 403:
		return kind403
	case 404:
		return kind404
	case 429:
		return kind429
	}
	return 0
}

// failure is why a peer has given no answer.
type failure struct {
	kind   failureKind
	status proxy.Status // of the answer where no other peer is asked
	reason string       // in nginx's words
}

// Error returns the reason.
func (f *failure) Error() string { return f.reason }

// Where a request has failed, in nginx's words.
const (
	whileConnecting  = "while connecting to upstream"
	whileSending     = "while sending request to upstream"
	whileReadingHead = "while reading response header from upstream"
	whileReading     = "while reading upstream"
)

// failureOf returns the failure that err is; nil where it is something else.
func failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// answer returns the error that the engine makes the answer of.
func (f *failure) answer() error {
	return &proxy.Fail{Status: f.status, Level: proxy.LevelError, Reason: f.reason}
}

func brokenOff(where string) *failure {
	return &failure{kindError, 502, "upstream prematurely closed connection " + where}
}

func timedOut(where string) *failure {
	return &failure{kindTimeout, 504, "upstream timed out (" + systemText(syscall.ETIMEDOUT) + ") " + where}
}

func invalidHead(err error) *failure {
	return &failure{kindInvalidHeader, 502, "upstream sent " + err.Error() + " " + whileReadingHead}
}

func invalidBody(err error) *failure {
	return &failure{kindError, 502, "upstream sent " + err.Error() + " " + whileReading}
}

// callFailed is a system call's failure.
func callFailed(call string, err error, where string) *failure {
	return &failure{kindError, 502, call + "() failed (" + systemText(err) + ") " + where}
}

// systemText is err as nginx writes it: "111: Connection refused".
func systemText(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := no.Error()
	return strconv.Itoa(int(no)) + ": " + strings.ToUpper(text[:1]) + text[1:]
}
