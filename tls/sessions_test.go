package tls_test

import (
	stdtls "crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
	"alicorn/tls"
)

// resumption connects twice, the second time to another Config, and reports
// whether the session resumed.
func resumption(t *testing.T, first, second *stdtls.Config, version uint16) bool {
	t.Helper()
	client := &stdtls.Config{ServerName: "a.example", MaxVersion: version, ClientSessionCache: stdtls.NewLRUClientSessionCache(1)}
	if _, err := shake(t, first, client); err != nil {
		t.Fatal(err)
	}
	state, err := shake(t, second, client)
	if err != nil {
		t.Fatal(err)
	}
	return state.DidResume
}

func TestSessionsResumeWhereTheyMay(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{Names: []string{"a.example"}})
	config := func(o tls.Options) *stdtls.Config {
		if o.SessionLife == 0 {
			o.SessionLife = time.Hour
		}
		id := tls.NewIdentity([]*stdtls.Certificate{load(t, dir, "a")}, o)
		return tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
	}
	trust := func() *tls.Verifier {
		v := tls.NewVerifier(1)
		if err := v.Trust(host, filepath.Join(dir, "a.crt"), true); err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, two := [32]byte{1}, [32]byte{2}
	fixed := func(keys ...[32]byte) tls.Options {
		return tls.Options{Tickets: tls.NewFixedTickets(time.Now, keys)}
	}
	tickets, kept, full := tls.NewTickets(time.Now), tls.NewSessions(1<<20), tls.NewSessions(300)
	const v12, v13 = stdtls.VersionTLS12, stdtls.VersionTLS13
	for _, c := range []struct {
		name          string
		first, second tls.Options
		version       uint16
		want          bool
	}{
		{"the same key", fixed(one), fixed(one), v13, true},
		{"the same key, TLS 1.2", fixed(one), fixed(one), v12, true},
		{"a new key before the old one", fixed(one), fixed(two, one), v13, true},
		{"another key", fixed(one), fixed(two), v13, false},
		{"kept", tls.Options{Sessions: kept}, tls.Options{Sessions: kept}, v13, true},
		{"kept, TLS 1.2", tls.Options{Sessions: kept}, tls.Options{Sessions: kept}, v12, false},
		{"kept in little room", tls.Options{Sessions: full}, tls.Options{Sessions: full}, v13, true},
		{"kept elsewhere", tls.Options{Sessions: kept}, tls.Options{Sessions: tls.NewSessions(1)}, v13, false},
		{"too old", tls.Options{Tickets: tickets}, tls.Options{Tickets: tickets, SessionLife: 1}, v13, false},
		{"too old, TLS 1.2", tls.Options{Tickets: tickets}, tls.Options{Tickets: tickets, SessionLife: 1}, v12, false},
		{"no clients trusted before", tls.Options{Tickets: tickets}, tls.Options{Tickets: tickets, Clients: trust()}, v13, false},
		{"the same clients trusted", tls.Options{Tickets: tickets, Clients: trust()}, tls.Options{Tickets: tickets, Clients: trust()}, v13, true},
	} {
		if got := resumption(t, config(c.first), config(c.second), c.version); got != c.want {
			t.Errorf("%s: resumed %v; want %v", c.name, got, c.want)
		}
	}
	server := config(tls.Options{Sessions: full})
	client := func() *stdtls.Config {
		return &stdtls.Config{ServerName: "a.example", ClientSessionCache: stdtls.NewLRUClientSessionCache(1)}
	}
	early := client()
	for _, client := range []*stdtls.Config{early, client(), early} {
		if state, err := shake(t, server, client); err != nil || state.DidResume {
			t.Errorf("a session that made room for another one resumed, or %v", err)
		}
	}
}

func TestARejectingServerGivesTheAlertForNames(t *testing.T) {
	id := tls.Rejecting()
	_, err := shake(t, tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil }), &stdtls.Config{ServerName: "a.example"})
	if err == nil || err.Error() != "remote error: tls: unrecognized name" {
		t.Errorf(`got %v, want the error "remote error: tls: unrecognized name"`, err)
	}
}
