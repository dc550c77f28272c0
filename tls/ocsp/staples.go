// Package ocsp fetches OCSP responses (RFC 6960) and keeps them for handshakes, which staple
// them.
//
//	Staples  the responses of all certificates; they outlive configurations
//	Staple   the response for one certificate, which handshakes send
//
// A handshake does not wait: it sends the response that is there. Each certificate in use has
// a goroutine that asks its responder, again after half of a response's life, and soon after
// a failure. The number of questions at once, the time of a question and the size of a
// response are bounded. Handshakes send only verified responses that say "good", until they
// expire. Close waits for all goroutines.
package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	atOnce  = 4                // how many questions run at once
	timeout = 15 * time.Second // how long a question may take
	soonest = 5 * time.Minute  // the least time between two questions, unless one failed
	shifts  = 5                // the pause after a first failure is soonest divided by 2 to this power
	latest  = 12 * time.Hour   // the longest time between two questions
)

// Options are for tests. Elsewhere use the zero value.
type Options struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Pause is the least time between two questions, unless one failed; 0: five minutes.
	Pause time.Duration
}

// Staples are the responses for the certificates of a process.
type Staples struct {
	now    func() time.Time
	pause  time.Duration
	client *http.Client
	turns  chan struct{}
	done   sync.WaitGroup

	mu  sync.Mutex
	all map[key]*Staple
	log func(slog.Level, string)
}

type key struct {
	cert [sha256.Size]byte
	url  string
}

// New returns Staples that do not ask responders yet.
func New(o Options) *Staples {
	s := &Staples{now: o.Now, pause: o.Pause, turns: make(chan struct{}, atOnce), all: map[key]*Staple{}, log: func(slog.Level, string) {}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.pause == 0 {
		s.pause = soonest
	}
	s.client = &http.Client{
		Timeout: timeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Staple is the response for one certificate.
type Staple struct {
	key    key
	cert   *x509.Certificate
	issuer *x509.Certificate
	now    func() time.Time
	shown  atomic.Pointer[response] // nil: none has come
	stop   context.CancelFunc       // nil: no goroutine asks
	said   string                   // the last failure that was logged
	failed uint                     // failures in a row
}

type response struct {
	der   []byte
	until time.Time
}

// Staple returns the Staple of cert, which issuer has signed, from the responder at url.
// Nothing asks the responder before Use.
func (s *Staples) Staple(cert, issuer *x509.Certificate, url string) *Staple {
	k := key{sha256.Sum256(cert.Raw), url}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.all[k]
	if t == nil {
		t = &Staple{key: k, cert: cert, issuer: issuer, now: s.now}
		s.all[k] = t
	}
	return t
}

// Response returns the response in DER format, or nil. It may be called from any
// goroutine. The caller must not change the result.
func (t *Staple) Response() []byte {
	r := t.shown.Load()
	if r == nil || t.now().After(r.until) {
		return nil
	}
	return r.der
}

// Use begins to ask responders for those of wanted that are new, and drops all other Staples.
// log gets a line if a question fails in another way than the one before.
func (s *Staples) Use(wanted []*Staple, log func(slog.Level, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = log
	used := map[key]*Staple{}
	for _, t := range wanted {
		used[t.key] = t
		if t.stop == nil {
			var ctx context.Context
			ctx, t.stop = context.WithCancel(context.Background())
			s.done.Go(func() { s.keep(ctx, t) })
		}
	}
	for k, t := range s.all {
		if used[k] == nil && t.stop != nil {
			t.stop()
			t.stop = nil
		}
	}
	s.all = used
}

// Close ends all questions and waits for them.
func (s *Staples) Close() error {
	s.Use(nil, func(slog.Level, string) {})
	s.done.Wait()
	return nil
}

// keep keeps t's response fresh until ctx ends.
func (s *Staples) keep(ctx context.Context, t *Staple) {
	for {
		select {
		case s.turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wait := s.refresh(ctx, t)
		<-s.turns
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// refresh asks once, and returns how long to wait before the next question.
func (s *Staples) refresh(ctx context.Context, t *Staple) time.Duration {
	r, err := s.ask(ctx, t)
	switch {
	case ctx.Err() != nil:
		return s.pause
	case err != nil:
		s.complain(t, err)
		t.failed++
		return s.pause >> (shifts - min(t.failed-1, shifts))
	}
	t.said, t.failed = "", 0
	t.shown.Store(r)
	return max(min(r.until.Sub(s.now())/2, latest), s.pause)
}

// complain logs err, unless the last line of t was the same.
func (s *Staples) complain(t *Staple, err error) {
	if err.Error() == t.said {
		return
	}
	t.said = err.Error()
	s.mu.Lock()
	log := s.log
	s.mu.Unlock()
	log(slog.LevelError, "cannot get the OCSP response for certificate "+subject(t.cert)+": "+t.said)
}

func subject(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.String()
}
