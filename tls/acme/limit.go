package acme

import (
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"
)

// limit is an authority's wish to be left alone for a time: all of us, or the
// order of one name.
type limit struct {
	mu    sync.Mutex
	until time.Time
}

// limitKey is the key of an order's own limit in its context.
type limitKey struct{}

// wait returns an error until the time has come.
func (l *limit) wait() error { return l.explain(nil) }

// explain makes cause, which may be nil, an error that says how long to wait,
// unless that time has come or cause says so already.
func (l *limit) explain(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) || errors.As(cause, new(*limitError)) {
		return cause
	}
	return &limitError{l.until, cause}
}

func (l *limit) set(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(min(max(pause, time.Second), 24*time.Hour))
}

// limitError means that the authority asked for a pause.
type limitError struct {
	until time.Time
	cause error // what it said; nil: that was earlier
}

// Error says until when.
func (e *limitError) Error() string {
	asked := "asked to wait until " + e.until.UTC().Format(time.DateTime) + " UTC"
	if e.cause == nil {
		return "it limits our requests and " + asked
	}
	return plain(e.cause) + "; it " + asked
}

// Unwrap gives the cause.
func (e *limitError) Unwrap() error { return e.cause }

// limited notes when an authority answers 429 (RFC 6585).
type limited struct {
	limit *limit // of all orders
	next  http.RoundTripper
}

// RoundTrip is http.RoundTripper's.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		return resp, err
	}
	// What a signed request is told in ACME's own words is most often about
	// its name (RFC 8555 section 6.6); other orders find out for themselves.
	own, _ := r.Context().Value(limitKey{}).(*limit)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if own == nil || r.Method != http.MethodPost || kind != "application/problem+json" {
		own = l.limit
	}
	own.set(retryAfter(resp.Header.Get("Retry-After")))
	return resp, err
}

// retryAfter reads the field of that name (RFC 9110 section 10.2.3); without
// one that can be read it is an hour.
func retryAfter(field string) time.Duration {
	if d, err := time.ParseDuration(field + "s"); err == nil {
		return d
	}
	if at, err := http.ParseTime(field); err == nil {
		return time.Until(at)
	}
	return time.Hour
}
