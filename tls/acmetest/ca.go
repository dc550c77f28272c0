// Package acmetest runs a certificate authority for tests: pebble behind a gate,
// with a name server that knows all names.
//
// Clients connect to the gate, which speaks HTTPS, counts requests, and passes
// them on. So a test can stop the authority (Pause), make it answer nonsense
// (Break), make it refuse names (Refuse) or make a client wait (Hold), although
// pebble itself does not fail. Validation does not go through the gate: pebble
// connects to the server under test, at the ports of Options, and asks the name
// server for addresses.
//
// The programs are built from the Go module proxy once for each machine and user.
// A test fails if its machine cannot build them. They end with the test, and if
// the test's process is killed.
package acmetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for a program or an answer.
	patience = 60 * time.Second
	// attempts is how often ports are chosen if another process takes them first.
	attempts = 3
)

// Options are the options of Start. With the zero value all kinds of challenge are
// offered, none of those over a port can succeed, and certificates are valid for 90
// days.
type Options struct {
	// HTTPPort and TLSPort are where HTTP-01 and TLS-ALPN-01 challenges are
	// validated, at the address a name resolves to; 0: nowhere.
	HTTPPort, TLSPort int
	// Challenges are the kinds that are offered, as in RFC 8555 section 9.7.8;
	// none: all of pebble's.
	Challenges []string
	// Lifetime is how long certificates are valid, in whole seconds.
	Lifetime time.Duration
	// BadNonces is how many percent of good nonces are refused as bad ones.
	// AuthzReuse is in how many percent of orders a name that was validated
	// within the last hour needs no new validation.
	BadNonces, AuthzReuse int
	// ExternalAccount makes new accounts fail unless they are bound to the one
	// of CA.ExternalAccount (RFC 8555 section 7.3.4).
	ExternalAccount bool
	// AlternateRoots are how many chains to other roots are offered beside the
	// first (RFC 8555 section 7.4.2).
	AlternateRoots int
}

// CA is a running certificate authority. Any goroutine may call its methods. If one
// fails, it ends the test that has started the CA.
type CA struct {
	t    testing.TB
	dir  string
	o    Options
	cert tls.Certificate
	pool *x509.CertPool // of the API's certificate, not of those it issues
	gate *gate

	pebble, names      *program
	dns, control, root string // addresses of challtestsrv's services and pebble's management
}

// Start starts a certificate authority that ends with the test.
func Start(t testing.TB, o Options) *CA {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	// Unlike t.TempDir, this folder can be read by servers that run as another
	// user.
	dir, err := os.MkdirTemp("", "acme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &CA{t: t, dir: dir, o: o}
	if err := c.start(bin); err != nil {
		t.Fatalf("cannot start a certificate authority: %v\n%s", err, c.Log())
	}
	return c
}

func (c *CA) start(bin string) error {
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.writeIdentity(); err != nil {
		return err
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c.t.Cleanup(func() { log.Close() })
	for try := 1; ; try++ {
		addrs, err := freePorts(5)
		if err != nil {
			return err
		}
		err = c.launch(bin, log, addrs)
		if err == nil {
			c.t.Cleanup(c.stop)
			return nil
		}
		c.stop()
		if try == attempts {
			return err
		}
	}
}

// launch starts the programs on addrs and waits until they answer.
func (c *CA) launch(bin string, log *os.File, addrs []string) (err error) {
	c.dns, c.control, c.root = addrs[0], addrs[1], addrs[2]
	c.names, err = startProgram("pebble-challtestsrv", log, nil, filepath.Join(bin, "pebble-challtestsrv"),
		"-dnsserver", c.dns, "-management", c.control, "-defaultIPv6", "", "-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", "")
	if err != nil {
		return err
	}
	config, err := c.writeConfig(addrs[3], addrs[4])
	if err != nil {
		return err
	}
	c.pebble, err = startProgram("pebble", log, []string{
		"PEBBLE_VA_NOSLEEP=1", "PEBBLE_VA_ALWAYS_VALID=0",
		"PEBBLE_WFE_NONCEREJECT=" + strconv.Itoa(c.o.BadNonces), "PEBBLE_AUTHZREUSE=" + strconv.Itoa(c.o.AuthzReuse),
		"PEBBLE_ALTERNATE_ROOTS=" + strconv.Itoa(c.o.AlternateRoots),
	}, filepath.Join(bin, "pebble"), "-config", config, "-dnsserver", c.dns)
	if err != nil {
		return err
	}
	if err := c.await(c.names, c.namesAnswer); err != nil {
		return err
	}
	if err := c.await(c.pebble, func() error { _, err := c.fetch("https://" + addrs[3] + "/dir"); return err }); err != nil {
		return err
	}
	if err := c.await(c.pebble, func() error { _, err := c.fetch("https://" + c.root + "/roots/0"); return err }); err != nil {
		return err
	}
	c.gate, err = openGate(addrs[3], c.cert, c.pool, c.o.Challenges)
	return err
}

func (c *CA) stop() {
	if c.t.Failed() {
		c.t.Logf("the certificate authority's log ends with\n%s", tail(c.Log(), 4000))
	}
	if c.gate != nil {
		c.gate.close()
	}
	for _, p := range []*program{c.pebble, c.names} {
		if p != nil {
			p.stop()
		}
	}
	c.gate, c.pebble, c.names = nil, nil, nil
}

// await polls check while p runs, until it returns nil.
func (c *CA) await(p *program, check func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		switch {
		case err == nil:
			return nil
		case !p.alive():
			return fmt.Errorf("%s has ended", p.name)
		case time.Now().After(deadline):
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		}
	}
}

// writeConfig writes pebble's configuration and returns its path.
func (c *CA) writeConfig(listen, blocked string) (string, error) {
	lifetime := c.o.Lifetime
	if lifetime == 0 {
		lifetime = 90 * 24 * time.Hour
	}
	_, nowhere, err := net.SplitHostPort(blocked)
	if err != nil {
		return "", err
	}
	port := func(n int) int {
		if n == 0 {
			n, _ = strconv.Atoi(nowhere)
		}
		return n
	}
	pebble := map[string]any{
		"listenAddress": listen, "managementListenAddress": c.root,
		"certificate": c.RootFile(), "privateKey": filepath.Join(c.dir, "api.key"),
		"httpPort": port(c.o.HTTPPort), "tlsPort": port(c.o.TLSPort), "keyAlgorithm": "ecdsa",
		// One second more, because pebble counts both ends of the time.
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": int(lifetime/time.Second) + 1}},
	}
	if c.o.ExternalAccount {
		id, key := c.ExternalAccount()
		pebble["externalAccountBindingRequired"], pebble["externalAccountMACKeys"] = true, map[string]string{id: key}
	}
	text, err := json.MarshalIndent(map[string]any{"pebble": pebble}, "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(c.dir, "pebble.json")
	return file, os.WriteFile(file, text, 0o600)
}

// Directory returns the URL of the directory (RFC 8555 section 7.1.1). Its host is
// an address, so that a client resolves no name to reach the authority.
func (c *CA) Directory() string { return "https://" + c.gate.addr + "/dir" }

// RootFile returns the PEM file that makes a client trust the directory. It
// is readable for every user. The certificates that are issued have another
// root: see Roots.
func (c *CA) RootFile() string { return filepath.Join(c.dir, "api.crt") }

// Roots returns the roots of all issued certificates, as a browser that trusts the
// authority has them.
func (c *CA) Roots() *x509.CertPool {
	c.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.Root()) {
		c.t.Fatal("the authority's root is no certificate")
	}
	return pool
}

// Root returns the root of all issued certificates, in PEM.
func (c *CA) Root() []byte {
	c.t.Helper()
	text, err := c.fetch("https://" + c.root + "/roots/0")
	if err != nil {
		c.t.Fatalf("cannot load the authority's root: %v", err)
	}
	return text
}

// RootName returns the common name of the root of the chain that is offered first,
// 0, or of an alternate chain, from 1 on.
func (c *CA) RootName(i int) string {
	c.t.Helper()
	text, err := c.fetch("https://" + c.root + "/roots/" + strconv.Itoa(i))
	if err != nil {
		c.t.Fatalf("cannot load root %d: %v", i, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		c.t.Fatalf("root %d is not in PEM format", i)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.t.Fatal(err)
	}
	return root.Subject.CommonName
}

// ExternalAccount returns the key identifier and the key, in base64url, that
// new accounts must be bound to with Options.ExternalAccount.
func (c *CA) ExternalAccount() (id, key string) {
	return "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
}

// SuggestRenewal makes the authority say that cert should have been renewed an hour
// ago (RFC 9773). A client learns of that when it asks.
func (c *CA) SuggestRenewal(cert *x509.Certificate) {
	c.t.Helper()
	now := time.Now().UTC()
	window, err := json.Marshal(map[string]any{"suggestedWindow": map[string]time.Time{"start": now.Add(-time.Hour), "end": now.Add(-time.Minute)}})
	if err != nil {
		c.t.Fatal(err)
	}
	err = c.post("https://"+c.root+"/set-renewal-info/", map[string]string{
		"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})), "ARIResponse": string(window),
	})
	if err != nil {
		c.t.Fatalf("cannot suggest a renewal: %v", err)
	}
}

// Log returns what pebble and the name server have logged so far.
func (c *CA) Log() string {
	text, err := os.ReadFile(c.logFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Error(err)
	}
	return string(text)
}

func (c *CA) logFile() string { return filepath.Join(c.dir, "log") }

// tail returns the whole lines among the last n bytes of text.
func tail(text string, n int) string {
	if len(text) <= n {
		return text
	}
	_, rest, _ := strings.Cut(text[len(text)-n:], "\n")
	return rest
}

// client returns a client for the fixture's own requests.
func (c *CA) client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.pool}}}
}
