// Package ocsp fetches OCSP responses (RFC 6960) and keeps them to be stapled
// to handshakes.
//
//	Staples  the responses of all certificates; they outlive configurations
//	Staple   the response for one certificate, which handshakes send
//
// A handshake never waits: it sends the response that is there. Each certificate in
// use has a goroutine that asks its responder, again halfway through a response's
// life and soon after a failure. Few ask at once; the time of a question and the
// size of a response are bounded. Handshakes send only a verified response that
// says "good", until it expires. Close waits for all goroutines.
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
	atOnce  = 4                // questions under way
	timeout = 15 * time.Second // of one question
	soonest = 5 * time.Minute  // between two questions
	shifts  = 5                // after the first failure the pause is shorter by so many powers of two
	latest  = 12 * time.Hour
)

// Options are for tests. Elsewhere use the zero value.
type Options struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Pause is the least time between two questions; 0: five minutes.
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
	shown  atomic.Pointer[response]
	stop   context.CancelFunc // nil: no goroutine asks
	said   string             // the last failure that was logged
	failed uint               // failures in a row
}

type response struct {
	der   []byte
	until time.Time
}

// Staple returns the Staple of cert, which issuer has signed, from the responder at
// url. The responder is not asked before Use.
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

// Use begins to ask for new Staples of wanted, and drops all others. log gets a line
// when a question fails otherwise than the one before.
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

// keep asks for t again and again until ctx ends.
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

// refresh asks once and returns when to ask again.
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

// complain logs err unless the last line says the same.
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
