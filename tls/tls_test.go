package tls_test

import (
	stdtls "crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
	"alicorn/tls"
)

var host = proxytest.NewHost()

func load(t *testing.T, dir, name string) *stdtls.Certificate {
	t.Helper()
	c, err := tls.LoadPair(host, filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shake runs one handshake in memory; the client's state and both errors.
func shake(t *testing.T, server, client *stdtls.Config) (stdtls.ConnectionState, error) {
	t.Helper()
	client = client.Clone()
	client.InsecureSkipVerify = true
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(60 * time.Second))
		sc := stdtls.Server(nc, server)
		if err = sc.Handshake(); err == nil {
			_, err = sc.Write([]byte("x")) // behind TLS 1.3's tickets
		}
		done <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	cc := stdtls.Client(nc, client)
	if err = cc.Handshake(); err == nil {
		_, err = cc.Read(make([]byte, 1))
	}
	if serverErr := <-done; err == nil {
		err = serverErr
	}
	return cc.ConnectionState(), err
}

func TestPairsAreRefusedInOneSentenceThatNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	proxytest.WriteCertificate(t, dir, "b", proxytest.Certificate{})
	proxytest.WriteCertificate(t, dir, "rsa", proxytest.Certificate{RSA: true})
	for name, content := range map[string]string{
		"empty":     "",
		"garbage":   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"encrypted": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"old":       "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"broken":    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ cert, key, want string }{
		{"no.crt", "a.key", `cannot read certificate "DIR/no.crt": no such file or directory`},
		{"a.crt", "no.key", `cannot read certificate key "DIR/no.key": no such file or directory`},
		{"empty", "a.key", `cannot use certificate "DIR/empty": it holds no certificate in PEM format`},
		{"a.key", "a.key", `cannot use certificate "DIR/a.key": it holds no certificate in PEM format`},
		{"a.crt", "a.crt", `cannot use certificate key "DIR/a.crt": it holds no private key in PEM format`},
		{"a.crt", "encrypted", `cannot use certificate key "DIR/encrypted": it is encrypted with a password, and there is no ssl_password_file`},
		{"a.crt", "old", `cannot use certificate key "DIR/old": it is encrypted with a password, and there is no ssl_password_file`},
		{"a.crt", "b.key", `certificate key "DIR/b.key" does not belong to the first certificate in "DIR/a.crt"`},
		{"a.crt", "rsa.key", `certificate key "DIR/rsa.key" does not belong to the first certificate in "DIR/a.crt"`},
		{"a.crt", "broken", `cannot use certificate key "DIR/broken": failed to parse private key`},
		{"garbage", "a.key", `cannot use certificate "DIR/garbage": malformed certificate`},
	} {
		_, err := tls.LoadPair(host, filepath.Join(dir, c.cert), filepath.Join(dir, c.key))
		want := strings.ReplaceAll(c.want, "DIR", dir)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %s:\n got %v\nwant %s", c.cert, c.key, err, want)
		}
	}
}

func TestDoubtsSayWhatClientsWillRefuse(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "good", proxytest.Certificate{Names: []string{"a.example", "*.b.example"}})
	proxytest.WriteCertificate(t, dir, "old", proxytest.Certificate{From: -2 * time.Hour})
	proxytest.WriteCertificate(t, dir, "new", proxytest.Certificate{From: time.Hour})
	for _, c := range []struct{ cert, name, want string }{
		{"good", "", ""},
		{"good", "a.example", ""},
		{"good", "x.b.example", ""},
		{"good", "c.example", `is not for "c.example" but for a.example, *.b.example`},
		{"old", "", "expired on "},
		{"new", "", "is not valid before "},
	} {
		got := tls.Doubt(load(t, dir, c.cert), c.name, time.Now())
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s for %q: got %q, want %q", c.cert, c.name, got, c.want)
		}
	}
}

func TestNamesChooseTheIdentityWithoutCase(t *testing.T) {
	dir := t.TempDir()
	ids := map[string]*tls.Identity{}
	for _, name := range []string{"a.example", "b.example"} {
		proxytest.WriteCertificate(t, dir, name, proxytest.Certificate{Names: []string{name}})
		ids[name] = tls.NewIdentity([]*stdtls.Certificate{load(t, dir, name)}, tls.Options{Protocols: []string{"x", "http/1.1"}})
	}
	server := tls.NewConfig(func(name string) (*tls.Identity, error) {
		if id := ids[name]; id != nil {
			return id, nil
		}
		return ids["a.example"], nil
	})
	for asked, want := range map[string]string{"a.example": "a.example", "B.Example": "b.example", "c.example": "a.example", "": "a.example"} {
		state, err := shake(t, server, &stdtls.Config{ServerName: asked, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Errorf("%q: %v", asked, err)
			continue
		}
		if got := state.PeerCertificates[0].DNSNames[0]; got != want || state.Version != stdtls.VersionTLS13 || state.NegotiatedProtocol != "http/1.1" {
			t.Errorf(`%q: got %s by %s with %q; want %s, %v and "http/1.1"`, asked, got, tls.VersionName(state.Version), state.NegotiatedProtocol, want, stdtls.VersionTLS13)
		}
	}
}

func TestEachClientGetsTheKeyTypeItCanVerify(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "rsa", proxytest.Certificate{RSA: true})
	proxytest.WriteCertificate(t, dir, "ec", proxytest.Certificate{})
	id := tls.NewIdentity([]*stdtls.Certificate{load(t, dir, "rsa"), load(t, dir, "ec")}, tls.Options{})
	server := tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
	for _, c := range []struct {
		client *stdtls.Config
		want   string
	}{
		{&stdtls.Config{ServerName: "other.example"}, "ECDSA"},
		{&stdtls.Config{MaxVersion: stdtls.VersionTLS12, CipherSuites: []uint16{stdtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, "RSA"},
		{&stdtls.Config{MaxVersion: stdtls.VersionTLS12, CipherSuites: []uint16{stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "ECDSA"},
	} {
		state, err := shake(t, server, c.client)
		if err != nil {
			t.Error(err)
		} else if got := state.PeerCertificates[0].PublicKeyAlgorithm.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestVersionsOutsideTheRangeAreRefused(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	certs := []*stdtls.Certificate{load(t, dir, "a")}
	for _, c := range []struct {
		o        tls.Options
		min, max uint16 // the client's
		want     string // "": refused
	}{
		{tls.Options{}, 0, 0, "TLSv1.3"},
		{tls.Options{}, 0, stdtls.VersionTLS12, "TLSv1.2"},
		{tls.Options{}, stdtls.VersionTLS10, stdtls.VersionTLS11, ""},
		{tls.Options{MinVersion: stdtls.VersionTLS10}, stdtls.VersionTLS10, stdtls.VersionTLS10, "TLSv1"},
		{tls.Options{MinVersion: stdtls.VersionTLS13}, 0, stdtls.VersionTLS12, ""},
		{tls.Options{MaxVersion: stdtls.VersionTLS12}, 0, 0, "TLSv1.2"},
	} {
		id := tls.NewIdentity(certs, c.o)
		server := tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
		state, err := shake(t, server, &stdtls.Config{MinVersion: c.min, MaxVersion: c.max})
		if got := tls.VersionName(state.Version); err == nil && got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%+v: got %q, %v; want %q", c.o, got, err, c.want)
		}
	}
}

func TestProtocolNamesMakeARange(t *testing.T) {
	for _, c := range []struct {
		names    string
		min, max uint16
		err      string
	}{
		{"TLSv1.2 TLSv1.3", stdtls.VersionTLS12, stdtls.VersionTLS13, ""},
		{"TLSv1.3 TLSv1.2 TLSv1.1 TLSv1", stdtls.VersionTLS10, stdtls.VersionTLS13, ""},
		{"TLSv1.2", stdtls.VersionTLS12, stdtls.VersionTLS12, ""},
		{"TLSv1 TLSv1.2", 0, 0, "TLSv1.1 is missing between TLSv1 and TLSv1.2"},
		{"SSLv3 TLSv1.2", 0, 0, "SSLv3 is broken and not supported"},
		{"TLSv1.4", 0, 0, `"TLSv1.4" is not a protocol`},
	} {
		low, high, err := tls.VersionRange(strings.Fields(c.names))
		if low != c.min || high != c.max || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: got %x %x %v; want %x %x and the error %q", c.names, low, high, err, c.min, c.max, c.err)
		}
	}
}

func TestSessionsResumeAcrossConfigsAndKeyRotation(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{Names: []string{"a.example"}})
	now := time.Now()
	tickets := tls.NewTickets(func() time.Time { return now })
	config := func(o tls.Options) *stdtls.Config {
		o.SessionLife = 7 * 24 * time.Hour
		id := tls.NewIdentity([]*stdtls.Certificate{load(t, dir, "a")}, o)
		return tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
	}
	resumes := func(t *testing.T, server, then *stdtls.Config, version uint16, pass time.Duration) bool {
		client := &stdtls.Config{ServerName: "a.example", MaxVersion: version, ClientSessionCache: stdtls.NewLRUClientSessionCache(1)}
		if _, err := shake(t, server, client); err != nil {
			t.Fatal(err)
		}
		now = now.Add(pass)
		state, err := shake(t, then, client)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
		before, after := config(tls.Options{Tickets: tickets}), config(tls.Options{Tickets: tickets})
		if !resumes(t, before, before, version, 0) || !resumes(t, before, after, version, 0) {
			t.Errorf("%s: sessions do not resume", tls.VersionName(version))
		}
		if !resumes(t, before, after, version, 25*time.Hour) {
			t.Errorf("%s: a key is forgotten at its rotation", tls.VersionName(version))
		}
		if off := config(tls.Options{}); resumes(t, off, off, version, 0) {
			t.Errorf("%s: sessions resume without tickets", tls.VersionName(version))
		}
	}
}

// A session of TLS 1.2 lives as long as it may from its full handshake on, however
// often it resumes; with TLS 1.3 every connection begins a new one.
func TestTicketsOfASessionThatResumesLiveAsLongAsTheFirst(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{Names: []string{"a.example"}})
	for _, c := range []struct {
		version uint16
		resumes string // at each third of the life: y or n
	}{{stdtls.VersionTLS12, "yynyyn"}, {stdtls.VersionTLS13, "yyyyyy"}} {
		now := time.Now()
		tickets := tls.NewTickets(func() time.Time { return now })
		id := tls.NewIdentity([]*stdtls.Certificate{load(t, dir, "a")}, tls.Options{Tickets: tickets, SessionLife: 30 * time.Second})
		server := tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
		client := &stdtls.Config{ServerName: "a.example", MaxVersion: c.version, ClientSessionCache: stdtls.NewLRUClientSessionCache(1)}
		if _, err := shake(t, server, client); err != nil {
			t.Fatal(err)
		}
		got := ""
		for range len(c.resumes) {
			now = now.Add(10 * time.Second)
			state, err := shake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			got += map[bool]string{true: "y", false: "n"}[state.DidResume]
		}
		if got != c.resumes {
			t.Errorf("%s: resumed %s, want %s", tls.VersionName(c.version), got, c.resumes)
		}
	}
}

func TestCiphersHaveTheNamesOfOpenSSL(t *testing.T) {
	for id, want := range map[uint16]string{
		stdtls.TLS_AES_128_GCM_SHA256:                        "TLS_AES_128_GCM_SHA256",
		stdtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
		stdtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	} {
		if got := tls.CipherName(id); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, s := range append(stdtls.CipherSuites(), stdtls.InsecureCipherSuites()...) {
		if got := tls.CipherName(s.ID); s.SupportedVersions[0] != stdtls.VersionTLS13 && strings.HasPrefix(got, "TLS_") {
			t.Errorf("%s has no OpenSSL name", s.Name)
		}
	}
}
