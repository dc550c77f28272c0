package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// front answers challenges as a server would, for any number of Sources.
type front struct {
	httpPort, tlsPort int

	mu      sync.Mutex
	sources []*Source
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	plain, secure := listen(t), listen(t)
	f.httpPort, f.tlsPort = plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port
	hs := &http.Server{Handler: http.HandlerFunc(f.serve)}
	ts := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: &tls.Config{GetConfigForClient: f.challenge}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go hs.Serve(plain)
	go ts.ServeTLS(secure, "", "")
	t.Cleanup(func() { hs.Close(); ts.Close() })
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (f *front) each(do func(s *Source) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sources {
		if do(s) {
			return
		}
	}
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	answered := false
	f.each(func(s *Source) bool {
		text, ok := s.KeyAuthorization(strings.TrimPrefix(r.URL.Path, ChallengePath))
		if ok {
			answered = true
			fmt.Fprint(w, text)
		}
		return ok
	})
	if !answered {
		http.NotFound(w, r)
	}
}

func (f *front) challenge(hello *tls.ClientHelloInfo) (c *tls.Config, err error) {
	f.each(func(s *Source) bool { c = s.Challenge(hello); return c != nil })
	return c, nil
}

// source makes a Source whose challenges f answers, and that ends with t.
func (f *front) source(t *testing.T, o Options) *Source {
	t.Helper()
	s := NewSource(o)
	t.Cleanup(func() { s.Close() })
	f.mu.Lock()
	f.sources = append(f.sources, s)
	f.mu.Unlock()
	return s
}

// issuerOf is ca as an Issuer with its state in folder.
func issuerOf(t *testing.T, ca *acmetest.CA, folder string) *Issuer {
	t.Helper()
	roots, err := os.ReadFile(ca.RootFile())
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{Name: "test", Directory: ca.Directory(), Roots: string(roots), AcceptTerms: true, State: folder}
}

// wants are names to be ordered from i, which ca's names lead here.
func wants(ca *acmetest.CA, i *Issuer, names ...string) (out []*Want) {
	for _, name := range names {
		out = append(out, &Want{Name: name, Issuers: []*Issuer{i}, HTTP: true, ALPN: true, Resolver: ca.DNS()})
	}
	return out
}

// await fails t when there is no certificate of every name within a minute,
// and returns those that are there.
func await(t *testing.T, s *Source, names ...string) (certs []*x509.Certificate) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, name := range names {
		for s.Certificate(name) == nil {
			if time.Now().After(deadline) {
				t.Fatalf("no certificate for %s: %+v", name, s.Status())
			}
			time.Sleep(20 * time.Millisecond)
		}
		certs = append(certs, s.Certificate(name).Leaf)
	}
	return certs
}

// logTo writes the Source's lines to the test's log.
func logTo(t *testing.T) func(slog.Level, string) {
	return func(level slog.Level, text string) {
		if t.Context().Err() == nil {
			t.Log(level, text)
		}
	}
}

func TestEitherChallengeGivesATrustedCertificate(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{HTTP01, TLSALPN01} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			ca := acmetest.Start(t, acmetest.Options{HTTPPort: f.httpPort, TLSPort: f.tlsPort, Challenges: []string{kind}})
			s := f.source(t, Options{})
			s.Use(wants(ca, issuerOf(t, ca, t.TempDir()), "shop.example.com"), logTo(t))
			leaf := await(t, s, "shop.example.com")[0]
			chain := s.Certificate("shop.example.com").Certificate
			rest := x509.NewCertPool()
			for _, der := range chain[1:] {
				c, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				rest.AddCert(c)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "shop.example.com", Roots: ca.Roots(), Intermediates: rest}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRenewalGivesAnotherCertificate(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: f.httpPort, TLSPort: f.tlsPort})
	s := f.source(t, Options{})
	s.Use(wants(ca, issuerOf(t, ca, t.TempDir()), "shop.example.com"), logTo(t))
	first := await(t, s, "shop.example.com")[0]
	if err := s.Renew(context.Background(), "shop.example.com"); err != nil {
		t.Fatal(err)
	}
	if second := await(t, s, "shop.example.com")[0]; second.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the certificate is the same after Renew")
	}
	if err := s.Renew(context.Background(), "other.example.com"); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf(`a name that is not managed: %v; want an error with "no certificate"`, err)
	}
}

// An authority may suggest any time up to a certificate's end.
func TestASuggestionDoesNotMakeARenewalLate(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	folder := t.TempDir()
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: f.httpPort, TLSPort: f.tlsPort, Lifetime: time.Hour})
	use := func() (*Source, *x509.Certificate) {
		s := f.source(t, Options{})
		s.Use(wants(ca, issuerOf(t, ca, folder), "shop.example.com"), logTo(t))
		return s, await(t, s, "shop.example.com")[0]
	}
	s, leaf := use()
	s.Close()
	selectTime(t, folder, leaf.NotAfter)
	s, again := use()
	if again.SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Fatal("the certificate is another; want that of the folder")
	}
	if got, want := s.Status()[0].Renewal, leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore)/6); !got.Equal(want) {
		t.Errorf("the renewal is at %v, want %v", got, want)
	}
}

// selectTime makes at the time that a client has chosen from its authority's suggestion, in
// the only record of a certificate below folder.
func selectTime(t *testing.T, folder string, at time.Time) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "shop.example.com.json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		now := regexp.MustCompile(`"_selectedTime": ?"[^"]*"`)
		found += len(now.FindAll(text, -1))
		return os.WriteFile(path, now.ReplaceAll(text, []byte(`"_selectedTime":"`+at.Format(time.RFC3339)+`"`)), 0o600)
	})
	if err != nil || found != 1 {
		t.Fatalf("%d records with a selected time, %v; want 1", found, err)
	}
}
