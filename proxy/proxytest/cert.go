package proxytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate says what WriteCertificate makes: with zero fields an ECDSA
// certificate, valid for an hour.
type Certificate struct {
	Names []string // DNS names; the first is the common name too
	RSA   bool
	// From is when it begins to be valid, relative to now, and For how long it
	// is; 0: a minute ago, an hour.
	From, For time.Duration
}

// WriteCertificate writes a self-signed certificate to dir/name.crt and its
// key to dir/name.key, and returns the certificate.
func WriteCertificate(t testing.TB, dir, name string, c Certificate) *x509.Certificate {
	t.Helper()
	key := newKey(t, c.RSA)
	from := time.Now().Add(c.From)
	if c.From == 0 {
		from = time.Now().Add(-time.Minute)
	}
	if c.For == 0 {
		c.For = time.Hour
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: c.Names, NotBefore: from, NotAfter: from.Add(c.For),
		Subject: pkix.Name{CommonName: append(c.Names, name)[0]}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	writePEM(t, filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", keyDER)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func newKey(t testing.TB, asRSA bool) crypto.Signer {
	if asRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		return key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
