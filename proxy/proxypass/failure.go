package proxypass

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"syscall"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// failures are the failures of tries without an answer.
const failures = upstream.OnError | upstream.OnTimeout | upstream.OnInvalidHeader

// harmless are the failures that do not count against the peer, although another one may get
// the request.
const harmless = upstream.On403 | upstream.On404

// failure is why a try has failed, or why there is none.
type failure struct {
	kind   upstream.Failure // 0: no peer is at fault
	status proxy.Status     // the response's status if the request is not sent again
	reason string           // for the log, as in nginx
	crit   bool             // it is logged as crit: an operator must repair something
}

// Error returns the reason.
func (f *failure) Error() string { return f.reason }

// What was done with a request when it failed, as in nginx's log.
const (
	whileConnecting  = "while connecting to upstream"
	whileShaking     = "while SSL handshaking to upstream"
	whileSending     = "while sending request to upstream"
	whileReadingHead = "while reading response header from upstream"
	whileReading     = "while reading upstream"
)

// failureOf returns err as a failure; nil if it is another error.
func failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// answer returns the error that makes the engine respond with the failure's status.
func (f *failure) answer() error {
	return &proxy.Fail{Status: f.status, Level: f.level(), Reason: f.reason}
}

func (f *failure) level() proxy.Level {
	if f.crit {
		return proxy.LevelCrit
	}
	return proxy.LevelError
}

// brokenOff returns the failure of an answer that has ended too early.
func (p *pass) brokenOff(where string) *failure {
	what := "connection"
	if p.h.protocol.records {
		what = "FastCGI stdout"
	}
	return &failure{kind: upstream.OnError, status: 502, reason: "upstream prematurely closed " + what + " " + where}
}

func timedOut(where string) *failure {
	return &failure{kind: upstream.OnTimeout, status: 504, reason: "upstream timed out (" + systemText(syscall.ETIMEDOUT) + ") " + where}
}

func invalidHead(err error) *failure {
	return &failure{kind: upstream.OnInvalidHeader, status: 502, reason: "upstream sent " + err.Error() + " " + whileReadingHead}
}

func invalidBody(err error) *failure {
	return &failure{kind: upstream.OnError, status: 502, reason: "upstream sent " + err.Error() + " " + whileReading}
}

func invalidRecord(err error, where string) *failure {
	kind := upstream.OnError
	if where == whileReadingHead {
		kind = upstream.OnInvalidHeader
	}
	return &failure{kind: kind, status: 502, reason: "upstream sent " + err.Error() + " " + where}
}

// caughtStderr returns the failure of an answer with a text of fastcgi_catch_stderr.
func caughtStderr() *failure {
	return &failure{kind: upstream.OnInvalidHeader, status: 502, reason: "upstream sent in stderr a text of fastcgi_catch_stderr " + whileReadingHead}
}

// callFailed returns the failure of a system call.
func callFailed(call string, err error, where string) *failure {
	return &failure{kind: upstream.OnError, status: 502, reason: call + "() failed (" + systemText(err) + ") " + where}
}

// systemText returns an error of the system as nginx logs it: "111: Connection refused".
func systemText(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := no.Error()
	return strconv.Itoa(int(no)) + ": " + strings.ToUpper(text[:1]) + text[1:]
}

// where says what the pass does, in nginx's words.
func (p *pass) where() string {
	switch p.stage {
	case choosing, queued, connecting:
		return whileConnecting
	case securing:
		return whileShaking
	case sending:
		return whileSending
	case readingHead:
		return whileReadingHead
	}
	return whileReading
}

// AppendURL is of proxy.Upstream's At: the request at the peer, as nginx's error log has it.
// Where no peer can take the request, the group's name stands for the peer.
func (p *pass) AppendURL(dst []byte) []byte {
	if p.stage < choosing || len(p.request) == 0 {
		return dst
	}
	dst = append(append(dst, p.scheme()...), "://"...)
	if p.peer != nil {
		dst = append(dst, p.peer.name...)
	} else {
		dst = append(dst, p.groupName()...)
	}
	return p.h.encoder.url(dst, p.request)
}

// groupName is the name of the group: of its upstream block, or of the server.
func (p *pass) groupName() string { return cmp.Or(p.group.name, p.target.addr.String()) }
