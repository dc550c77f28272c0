package ssl_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a CA whose certificate is in dir/NAME.crt.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{dir: dir, key: newKey(t, false), cert: authorityTemplate(pkix.Name{CommonName: name})}
	a.cert = parse(t, a.sign(t, name, a.cert, a.key))
	return a
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authorityTemplate(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{Subject: subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

// authority returns another CA by a.
func (a *authority) authority(t *testing.T, name string, subject pkix.Name) *authority {
	t.Helper()
	b := &authority{dir: a.dir, key: newKey(t, false)}
	b.cert = parse(t, a.sign(t, name, authorityTemplate(subject), b.key))
	return b
}

// bundle writes the files one after the other into name.
func bundle(t *testing.T, dir, name string, files ...string) {
	t.Helper()
	var all []byte
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	if err := os.WriteFile(filepath.Join(dir, name), all, 0o644); err != nil {
		t.Fatal(err)
	}
}

// server writes a server's certificate for host to dir/NAME.crt and its key to
// dir/NAME.key, with the life that Let's Encrypt gives.
func (a *authority) server(t *testing.T, name, host string, withRSA bool) {
	t.Helper()
	a.sign(t, name, &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, newKey(t, withRSA))
}

// client writes a client's certificate and key as server does, and returns them.
func (a *authority) client(t *testing.T, name string) stdtls.Certificate {
	t.Helper()
	return a.clientNamed(t, name, pkix.Name{CommonName: name})
}

func (a *authority) clientNamed(t *testing.T, name string, subject pkix.Name) stdtls.Certificate {
	t.Helper()
	return a.issue(t, name, &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// issue is client for a certificate with the fields of c.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) stdtls.Certificate {
	t.Helper()
	key := newKey(t, false)
	return stdtls.Certificate{Certificate: [][]byte{a.sign(t, name, c, key)}, PrivateKey: key}
}

// with adds certificates to those that a client shows after its own.
func with(c stdtls.Certificate, chain ...*x509.Certificate) stdtls.Certificate {
	for _, issuer := range chain {
		c.Certificate = append(c.Certificate[:len(c.Certificate):len(c.Certificate)], issuer.Raw)
	}
	return c
}

// revoke writes a list of what a has revoked to dir/NAME.
func (a *authority) revoke(t *testing.T, name string, next time.Time, serials ...*big.Int) {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: next}
	for _, serial := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name, "X509 CRL", der)
}

func (a *authority) sign(t *testing.T, name string, c *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(89*24*time.Hour + time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".crt", "CERTIFICATE", der)
	a.write(t, name+".key", "PRIVATE KEY", keyDER)
	return der
}

func (a *authority) write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T, withRSA bool) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if withRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}
