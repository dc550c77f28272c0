package acme

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// site is one name and the goroutine that gets its certificate.
type site struct {
	source  *Source
	want    *Want
	config  *certmagic.Config
	storage *certmagic.FileStorage
	now     chan chan error // from renew: order at once, and send the result
	started bool            // guarded by source.mu
	cancel  context.CancelFunc
	ended   <-chan struct{}

	mu   sync.Mutex
	err  error     // the last failure; nil: the last try succeeded
	at   time.Time // when err happened
	next time.Time // when the next try is
}

// start begins to obtain and renew the certificate. The caller holds source.mu.
func (t *site) start() {
	if t.started {
		return
	}
	t.started = true
	ctx, cancel := context.WithCancel(t.source.ctx)
	t.cancel, t.ended = cancel, ctx.Done()
	t.source.wg.Go(func() { t.run(ctx) })
}

// end stops the goroutine. The Source waits for it in Close.
func (t *site) end() {
	if t.cancel != nil {
		t.cancel()
	}
}

// run obtains and renews the certificate until ctx ends.
func (t *site) run(ctx context.Context) {
	defer t.cancel()
	var reply chan error
	for tries := 0; ; {
		err := t.ensure(ctx, reply != nil)
		if ctx.Err() != nil {
			err = errors.New("the name is no longer managed")
		}
		if reply != nil {
			reply <- err
		}
		if ctx.Err() != nil {
			return
		}
		wait := t.rest()
		if err == nil {
			tries = 0
		} else {
			wait = pause(tries, err)
			tries++
		}
		t.note(err, wait)
		select {
		case reply = <-t.now:
		case <-time.After(wait):
			reply = nil
		case <-ctx.Done():
			return
		}
	}
}

// rest returns how long to wait before the next check of a good certificate: CheckInterval,
// or less if the certificate is due before. It is not less than a twentieth of the
// certificate's life: the certificate may be due for the authority, but not for certmagic.
func (t *site) rest() time.Duration {
	wait := t.source.options.CheckInterval
	if cert := newest(t.source.cache, t.want.Name); !cert.Empty() {
		from, to := cert.Leaf.NotBefore, cert.Leaf.NotAfter
		wait = min(wait, max(time.Until(t.renewal(from, to)), to.Sub(from)/20, time.Second))
	}
	return wait
}

// renew makes run order a certificate, and returns the result.
func (t *site) renew(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case t.now <- reply:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.ended:
		return errors.New("the name is no longer managed")
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ensure obtains or renews the certificate if that is due, or force is set.
func (t *site) ensure(ctx context.Context, force bool) error {
	cert := newest(t.source.cache, t.want.Name)
	ours := !cert.Empty() && t.stored(ctx)
	if ours && !force {
		// Past the last time certmagic, which goes by the authority's word, is not asked.
		force = time.Now().After(lastRenewal(cert.Leaf.NotBefore, cert.Leaf.NotAfter))
		if !force && !cert.NeedsRenewal(t.config) {
			return nil
		}
	}
	select {
	case t.source.turns <- struct{}{}:
		defer func() { <-t.source.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	try := &attempt{}
	asked := context.WithValue(ctx, attemptKey{}, try)
	var err error
	if ours {
		err = t.config.RenewCertSync(asked, t.want.Name, force)
	} else {
		err = t.config.ObtainCertSync(asked, t.want.Name)
	}
	if err != nil {
		return try.join(err)
	}
	before := cert
	if err := t.load(ctx); err != nil {
		return err
	}
	if now := newest(t.source.cache, t.want.Name); now.Hash() != before.Hash() {
		t.source.tell(notice, "the certificate for %s is here, from %s; it expires %s UTC",
			t.want.Name, now.Leaf.Issuer.CommonName, now.Leaf.NotAfter.UTC().Format(time.DateTime))
	}
	return nil
}

// notice is nginx's level notice, between slog's info and warn.
const notice slog.Level = 2

// stored reports whether a certificate of one of the wanted issuers is stored.
func (t *site) stored(ctx context.Context) bool {
	for _, i := range t.config.Issuers {
		if t.storage.Exists(ctx, certmagic.StorageKeys.SiteCert(i.IssuerKey(), t.want.Name)) {
			return true
		}
	}
	return false
}

// load puts the stored certificate into the cache, and removes others of the name.
func (t *site) load(ctx context.Context) error {
	cert, err := t.config.CacheManagedCertificate(ctx, t.want.Name)
	if err != nil {
		return err
	}
	var old []string
	for _, c := range t.source.cache.AllMatchingCertificates(t.want.Name) {
		if c.Hash() != cert.Hash() && c.Names[0] == cert.Names[0] {
			old = append(old, c.Hash())
		}
	}
	t.source.cache.Remove(old)
	return nil
}

// note records the result of a try. It logs a failure.
func (t *site) note(err error, wait time.Duration) {
	now := time.Now()
	t.mu.Lock()
	t.err, t.at, t.next = err, now, now.Add(wait)
	t.mu.Unlock()
	if err == nil {
		return
	}
	level, what := slog.LevelWarn, "renew the"
	switch cert := newest(t.source.cache, t.want.Name); {
	case cert.Empty():
		level, what = slog.LevelError, "obtain a"
	case now.After(lastRenewal(cert.Leaf.NotBefore, cert.Leaf.NotAfter)):
		level = slog.LevelError
	}
	t.source.tell(level, "cannot %s certificate for %s: %s; next try at %s UTC", what, t.want.Name, err, now.Add(wait).UTC().Format(time.DateTime))
}

// attempt collects the errors of the issuers in one try of run. An order without an attempt in
// its context comes from certmagic's maintenance. It is refused, because run orders
// certificates, and knows when to try again.
type attempt struct {
	mu   sync.Mutex
	errs []error
}

type attemptKey struct{}

var errNotAsked = errors.New("the name's own goroutine orders its certificates")

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

func (a *attempt) add(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, err)
}

// join returns the errors of the issuers, or err if there are none.
func (a *attempt) join(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errs) == 0 {
		return err
	}
	return &failures{a.errs}
}

// failures are the errors of several issuers in one line.
type failures struct{ errs []error }

// Error joins them.
func (f *failures) Error() string {
	words := make([]string, len(f.errs))
	for i, err := range f.errs {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

// Unwrap returns all of them.
func (f *failures) Unwrap() []error { return f.errs }

// The times between tries, after an authority has refused an order, and after any other
// failure. Authorities limit refused orders (Let's Encrypt to five an hour), but not
// connections that fail.
var (
	afterRefusal = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour}
	afterFailure = []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}
)

// pause returns how long to wait after err, which comes after tries other failures in a row.
// With several issuers that is until one of them may be asked again.
func pause(tries int, err error) time.Duration {
	if all := (*failures)(nil); errors.As(err, &all) {
		shortest := pause(tries, all.errs[0])
		for _, err := range all.errs[1:] {
			shortest = min(shortest, pause(tries, err))
		}
		return shortest
	}
	var limited *limitError
	if errors.As(err, &limited) {
		return max(time.Until(limited.until), time.Second) + time.Duration(rand.IntN(1000))*time.Millisecond
	}
	steps := afterFailure
	if errors.As(err, new(acme.Problem)) {
		steps = afterRefusal
	}
	step := steps[min(tries, len(steps)-1)]
	return step - step/10 + rand.N(step/5)
}

// Status is the state of one name.
type Status struct {
	Name    string   `json:"name"`
	Issuers []string `json:"issuers"` // the issuers that are asked, in turn
	// Issuer is the name of the issuer in the certificate; "" if there is no certificate.
	Issuer    string    `json:"issuer,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	// Renewal is when a new certificate is ordered: when the authority suggests it (ARI) but
	// not later than when a sixth of the certificate's life is left, or without a suggestion
	// when a third is left.
	Renewal time.Time `json:"renewal,omitzero"`
	// Error is the last failure, at ErrorAt; Next is the time of the next try.
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"error_at,omitzero"`
	Next    time.Time `json:"next,omitzero"`
	// Trust is the file of the local authority's certificate, for a name that it certifies.
	Trust string `json:"trust,omitempty"`
}

// status returns the state of t.
func (t *site) status() Status {
	st := Status{Name: t.want.Name}
	for _, i := range t.want.Issuers {
		st.Issuers = append(st.Issuers, i.Label())
	}
	if t.want.Internal {
		st.Issuers, st.Trust = []string{localName}, RootFile(t.want.Folder)
	}
	if c := newest(t.source.cache, t.want.Name); !c.Empty() {
		st.Issuer, st.NotBefore, st.NotAfter = c.Leaf.Issuer.CommonName, c.Leaf.NotBefore, c.Leaf.NotAfter
		st.Renewal = t.renewal(c.Leaf.NotBefore, c.Leaf.NotAfter)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		st.Error, st.ErrorAt, st.Next = t.err.Error(), t.at, t.next
	}
	return st
}

// renewal returns when the certificate is due.
func (t *site) renewal(from, to time.Time) time.Time {
	for _, i := range t.config.Issuers {
		content, err := t.storage.Load(t.source.ctx, certmagic.StorageKeys.SiteMeta(i.IssuerKey(), t.want.Name))
		var meta struct {
			Data acme.Certificate `json:"issuer_data"`
		}
		if err == nil && json.Unmarshal(content, &meta) == nil && meta.Data.RenewalInfo != nil && !meta.Data.RenewalInfo.SelectedTime.IsZero() {
			if last := lastRenewal(from, to); last.Before(meta.Data.RenewalInfo.SelectedTime) {
				return last
			}
			return meta.Data.RenewalInfo.SelectedTime
		}
	}
	return to.Add(-to.Sub(from) / 3)
}

// lastRenewal returns when a certificate is due whatever the authority suggests: half of the
// usual time for renewal is over. An authority may suggest any time up to the certificate's
// end (RFC 9773 section 4.1), where a failure or a slow order would leave visitors without one.
func lastRenewal(from, to time.Time) time.Time { return to.Add(-to.Sub(from) / 6) }
