package acme

import (
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"
)

// limit is a pause that an authority has asked for, for all orders or for the
// order of one name.
type limit struct {
	mu    sync.Mutex
	until time.Time
}

// limitKey is the key of an order's own limit in its context.
type limitKey struct{}

// wait returns an error until the pause is over.
func (l *limit) wait() error { return l.explain(nil) }

// explain returns an error with cause, which may be nil, and the end of the pause. It returns
// cause itself if the pause is over, or cause already has its end.
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

// limitError says that the authority has asked for a pause.
type limitError struct {
	until time.Time
	cause error // the authority's answer; nil: it has asked before
}

// Error names the time.
func (e *limitError) Error() string {
	asked := "asked to wait until " + e.until.UTC().Format(time.DateTime) + " UTC"
	if e.cause == nil {
		return "it limits our requests and " + asked
	}
	return plain(e.cause) + "; it " + asked
}

// Unwrap returns the cause.
func (e *limitError) Unwrap() error { return e.cause }

// limited is an http.RoundTripper that sets a limit if an authority answers 429 (RFC 6585).
type limited struct {
	limit *limit // of all orders
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		return resp, err
	}
	// An answer in ACME's own format to a signed request is most often about its name (RFC
	// 8555 section 6.6). It does not delay other orders.
	own, _ := r.Context().Value(limitKey{}).(*limit)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if own == nil || r.Method != http.MethodPost || kind != "application/problem+json" {
		own = l.limit
	}
	own.set(retryAfter(resp.Header.Get("Retry-After")))
	return resp, err
}

// retryAfter reads the field Retry-After (RFC 9110 section 10.2.3). It returns an hour if the
// field is missing or invalid.
func retryAfter(field string) time.Duration {
	if d, err := time.ParseDuration(field + "s"); err == nil {
		return d
	}
	if at, err := http.ParseTime(field); err == nil {
		return time.Until(at)
	}
	return time.Hour
}
