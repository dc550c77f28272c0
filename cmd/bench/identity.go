package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// identity is the servers' certificate for loopback, with an ECDSA key of P-256, the
// default of certificate authorities.
type identity struct {
	cert, key string // PEM files
	parsed    *x509.Certificate
}

// newIdentity makes a certificate and writes it below dir.
func newIdentity(dir string) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot write a key: %w", err)
	}
	id := &identity{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if id.parsed, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if err := os.WriteFile(id.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	return id, os.WriteFile(id.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// trust returns a configuration for clients that trusts the certificate.
func (id *identity) trust() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(id.parsed)
	return &tls.Config{RootCAs: roots}
}

// tlsDirectives are for nginx and alicorn. Sessions resume as by default. Only old
// versions of nginx need the line for TLS 1.3.
const tlsDirectives = "ssl_certificate %s;\nssl_certificate_key %s;\nssl_protocols TLSv1.2 TLSv1.3;\n"

// sharedDirectives returns the site's directives that nginx and alicorn both know.
func (s *site) sharedDirectives() string {
	if s.tls == nil {
		return s.directives
	}
	return s.directives + fmt.Sprintf(tlsDirectives, s.tls.cert, s.tls.key)
}

// listenOptions returns what follows the address in listen.
func (s *site) listenOptions() string {
	if s.tls == nil {
		return ""
	}
	return " ssl"
}
