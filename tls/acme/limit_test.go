package acme

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	for _, c := range []struct {
		field       string
		least, most time.Duration
	}{
		{"2", 2 * time.Second, 2 * time.Second},
		{"", time.Hour, time.Hour},
		{"soon", time.Hour, time.Hour},
		{time.Now().Add(10 * time.Hour).UTC().Format(http.TimeFormat), 9 * time.Hour, 10 * time.Hour},
	} {
		if got := retryAfter(c.field); got < c.least || got > c.most {
			t.Errorf("%q: got %v, want %v to %v", c.field, got, c.least, c.most)
		}
	}
}

func TestTheNextTryComesWhenTheFirstIssuerMayBeAsked(t *testing.T) {
	limited := &limitError{until: time.Now().Add(24 * time.Hour)}
	down, refused := errors.New("connection refused"), acme.Problem{Type: acme.ProblemTypeRejectedIdentifier}
	for _, tc := range []struct {
		name     string
		errs     []error
		from, to time.Duration
	}{
		{"a limit", []error{limited}, 23 * time.Hour, 25 * time.Hour},
		{"a limit and an outage", []error{limited, down}, 4 * time.Second, 6 * time.Second},
		{"a refusal and a limit", []error{refused, limited}, 50 * time.Second, 70 * time.Second},
	} {
		if got := pause(0, &failures{tc.errs}); got < tc.from || got > tc.to {
			t.Errorf("%s: %v, want %v to %v", tc.name, got, tc.from, tc.to)
		}
	}
}

func TestALimitSaysWhatWasSaidAndUntilWhen(t *testing.T) {
	l := &limit{}
	if err := l.wait(); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	l.set(time.Hour)
	until := l.until.UTC().Format(time.DateTime) + " UTC"
	cause := acme.Problem{Type: acme.ProblemTypeRateLimited, Detail: "too many"}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{l.wait(), "it limits our requests and asked to wait until " + until},
		{l.explain(cause), "rateLimited: too many; it asked to wait until " + until},
		{l.explain(l.explain(cause)), "rateLimited: too many; it asked to wait until " + until},
	} {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("got %v, want %q", tc.err, tc.want)
		}
	}
}
