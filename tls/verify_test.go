package tls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/tls"
)

// authority is a certificate that may sign others.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// sign makes a certificate; by the authority nil it signs itself.
func (a *authority) sign(t *testing.T, template x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := &template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func ca(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func client(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func (a *authority) list(t *testing.T, until time.Time, revoked ...*authority) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: until}
	for _, r := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func TestRefusalsHaveOpenSSLsWords(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, parts ...[]byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	root := (*authority)(nil).sign(t, ca("root"))
	between := root.sign(t, ca("between"))
	below := between.sign(t, ca("below"))
	stranger := (*authority)(nil).sign(t, ca("stranger"))
	ann, bob := between.sign(t, client("ann")), between.sign(t, client("bob"))
	old, server := client("old"), client("server")
	old.NotBefore, old.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	later := time.Now().Add(time.Hour)
	crl := write("crl", root.list(t, later), between.list(t, later, bob))
	stale := write("stale", root.list(t, later), between.list(t, time.Now().Add(-time.Hour)))
	partial := write("partial", root.list(t, later))
	for _, c := range []struct {
		chain []*authority
		crl   string
		depth int
		want  string
	}{
		{[]*authority{ann, between}, "", 1, ""},
		{[]*authority{ann, between}, "", 0, "unable to get local issuer certificate"},
		{[]*authority{below.sign(t, client("deep")), below, between}, "", 1, "unable to get local issuer certificate"},
		{[]*authority{ann}, "", 1, "unable to verify the first certificate"},
		{[]*authority{(*authority)(nil).sign(t, client("self"))}, "", 1, "self-signed certificate"},
		{[]*authority{stranger.sign(t, client("eve")), stranger}, "", 1, "self-signed certificate in certificate chain"},
		{[]*authority{root.sign(t, old)}, "", 1, "certificate has expired"},
		{[]*authority{root.sign(t, server)}, "", 1, "unsuitable certificate purpose"},
		{[]*authority{ann, between}, crl, 1, ""},
		{[]*authority{bob, between}, crl, 1, "certificate revoked"},
		{[]*authority{ann, between}, stale, 1, "CRL has expired"},
		{[]*authority{ann, between}, partial, 1, "unable to get certificate CRL"},
	} {
		v := tls.NewVerifier(c.depth)
		if err := v.Trust(host, write("root", root.pem()), true); err != nil {
			t.Fatal(err)
		}
		if c.crl != "" {
			if err := v.Revoke(host, c.crl); err != nil {
				t.Fatal(err)
			}
		}
		var chain []*x509.Certificate
		for _, a := range c.chain {
			chain = append(chain, a.cert)
		}
		got := ""
		if r := v.Verify(chain, time.Now()); r != nil {
			got = r.Reason
		}
		if got != c.want {
			t.Errorf("%s with %s: got %q, want %q", chain[0].Subject.CommonName, filepath.Base(c.crl), got, c.want)
		}
	}
	for _, file := range []string{crl, filepath.Join(dir, "none")} {
		if err := tls.NewVerifier(1).Trust(host, file, true); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s as certificates: %v", file, err)
		}
	}
}
