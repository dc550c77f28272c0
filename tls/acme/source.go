package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ChallengePath is the beginning of the path of requests of HTTP-01. The token follows (RFC
// 8555 section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// alpnProtocol is the ALPN name of TLS-ALPN-01 (RFC 8737).
const alpnProtocol = "acme-tls/1"

// IsChallenge reports whether this is the handshake of an authority that verifies a name (RFC
// 8737 section 3).
func IsChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == alpnProtocol
}

// Options are the options of a Source. The zero value is for production.
type Options struct {
	// CheckInterval is the time between two checks of a certificate's age; 0: ten minutes.
	CheckInterval time.Duration
}

// Source has the certificates of all names. Any goroutine may call its methods.
type Source struct {
	options    Options
	challenges *challenges
	turns      chan struct{} // has an element for each order that runs

	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc

	// configs has the certmagic.Config of each name. It is not under mu: certmagic
	// asks for them under its own lock, which the Source takes while it holds mu.
	configs sync.Map

	mu       sync.Mutex
	cache    *certmagic.Cache // nil until a name is wanted
	sites    map[string]*site
	storages map[string]*certmagic.FileStorage
	accounts map[string]*account
	log      func(level slog.Level, text string)
	closed   bool
}

// ordersAtOnce is how many orders may run at once; authorities limit them, too.
const ordersAtOnce = 8

// NewSource returns a Source that does nothing before Load or Use.
func NewSource(o Options) *Source {
	if o.CheckInterval == 0 {
		o.CheckInterval = 10 * time.Minute
	}
	s := &Source{
		options: o, challenges: newChallenges(), turns: make(chan struct{}, ordersAtOnce),
		sites: map[string]*site{}, storages: map[string]*certmagic.FileStorage{}, accounts: map[string]*account{},
		log: func(slog.Level, string) {},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Load reads the stored certificates of new names, so that the first handshake can use them.
// It orders nothing. Use orders certificates that cannot be read.
func (s *Source) Load(wants []*Want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range wants {
		if s.sites[w.Name] == nil && !s.closed {
			s.sites[w.Name] = s.open(w)
		}
	}
}

// Use begins to obtain and renew certificates for wants, and stops for all other names. After
// that log gets a line for each event.
func (s *Source) Use(wants []*Want, log func(level slog.Level, text string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.log = log
	keep := map[string]bool{}
	for _, w := range wants {
		keep[w.Name] = true
		old := s.sites[w.Name]
		if old == nil || !old.want.same(w) {
			if old != nil {
				old.end()
			}
			s.sites[w.Name] = s.open(w)
		}
		s.sites[w.Name].start()
	}
	for name, t := range s.sites {
		if !keep[name] {
			t.end()
			delete(s.sites, name)
			s.configs.Delete(name)
			s.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
		}
	}
}

// Close stops all orders, and waits for their goroutines. Certificates can still be used.
func (s *Source) Close() error {
	s.mu.Lock()
	cache := s.cache
	if s.closed {
		cache = nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	if cache != nil {
		cache.Stop()
	}
	return nil
}

// Certificate returns the certificate for name, in the form of a Want's Name; nil while there
// is none.
func (s *Source) Certificate(name string) *tls.Certificate {
	s.mu.Lock()
	cache := s.cache
	s.mu.Unlock()
	if cache == nil {
		return nil
	}
	newest := newest(cache, name)
	if newest.Empty() {
		return nil
	}
	return &newest.Certificate
}

// newest returns the certificate of name that expires last, or an empty one.
func newest(cache *certmagic.Cache, name string) (best certmagic.Certificate) {
	for _, c := range cache.AllMatchingCertificates(name) {
		if slices.Contains(c.Names, name) && (best.Empty() || c.Leaf.NotAfter.After(best.Leaf.NotAfter)) {
			best = c
		}
	}
	return best
}

// KeyAuthorization returns the answer to a request of HTTP-01 for ChallengePath and token.
func (s *Source) KeyAuthorization(token string) (string, bool) {
	return s.challenges.keyAuthorization(token)
}

// Challenge returns the Config for an authority's handshake of TLS-ALPN-01; nil for any other
// client.
func (s *Source) Challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if !IsChallenge(hello) {
		return nil
	}
	return &tls.Config{
		NextProtos: []string{alpnProtocol}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.challenges.certificate(strings.ToLower(hello.ServerName))
		},
	}
}

// Renew orders a new certificate for name at once, and returns the result.
func (s *Source) Renew(ctx context.Context, name string) error {
	s.mu.Lock()
	t := s.sites[name]
	started := t != nil && t.started
	s.mu.Unlock()
	if !started {
		return fmt.Errorf("no certificate for %q is managed here", name)
	}
	return t.renew(ctx)
}

// Status returns the state of every name, in the order of the names.
func (s *Source) Status() []Status {
	s.mu.Lock()
	sites := slices.Collect(maps.Values(s.sites))
	s.mu.Unlock()
	out := make([]Status, 0, len(sites))
	for _, t := range sites {
		out = append(out, t.status())
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// open makes the site of w, and loads its stored certificate. The caller holds s.mu.
func (s *Source) open(w *Want) *site {
	if s.cache == nil {
		s.cache = certmagic.NewCache(certmagic.CacheOptions{
			GetConfigForCert: s.configFor, RenewCheckInterval: s.options.CheckInterval,
			OCSPCheckInterval: 365 * 24 * time.Hour, Logger: zap.NewNop(),
		})
	}
	t := &site{source: s, want: w, now: make(chan chan error)}
	storage := s.storage(w.State())
	t.storage = storage
	t.config = certmagic.New(s.cache, certmagic.Config{
		Storage: storage, Issuers: s.issuers(w, storage), KeySource: generator{keyTypes[w.Key]}, Logger: zap.NewNop(),
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // Let's Encrypt has no OCSP; a responder must not delay anything
	})
	s.configs.Store(w.Name, t.config)
	t.load(s.ctx)
	return t
}

// issuers returns the issuers that certmagic asks, one after the other. The caller holds s.mu.
func (s *Source) issuers(w *Want, storage *certmagic.FileStorage) []certmagic.Issuer {
	if w.Internal {
		return []certmagic.Issuer{&local{storage}}
	}
	var out []certmagic.Issuer
	r := newReach(w.Resolver)
	for _, i := range w.Issuers {
		out = append(out, &orders{
			issuer: i, want: w, challenges: s.challenges, reach: r, storage: storage,
			account: s.account(i, r),
		})
	}
	return out
}

// account returns the account with i, which all names share. The caller holds s.mu.
func (s *Source) account(i *Issuer, r *reach) *account {
	id, _ := json.Marshal(i)
	a := s.accounts[string(id)]
	if a == nil {
		l := &limit{}
		a = &account{issuer: i, storage: s.storage(i.State), limit: l, http: newHTTP(i, r, l)}
		s.accounts[string(id)] = a
	}
	return a
}

func (s *Source) storage(folder string) *certmagic.FileStorage {
	st := s.storages[folder]
	if st == nil {
		st = &certmagic.FileStorage{Path: folder}
		s.storages[folder] = st
		s.challenges.share(st)
	}
	return st
}

// configFor returns the Config with which certmagic maintains cert.
func (s *Source) configFor(cert certmagic.Certificate) (*certmagic.Config, error) {
	for _, name := range cert.Names {
		if c, ok := s.configs.Load(name); ok {
			return c.(*certmagic.Config), nil
		}
	}
	return nil, fmt.Errorf("no certificate for %v is wanted any more", cert.Names)
}

// tell calls the log of Use.
func (s *Source) tell(level slog.Level, format string, args ...any) {
	s.mu.Lock()
	log := s.log
	s.mu.Unlock()
	log(level, fmt.Sprintf(format, args...))
}
