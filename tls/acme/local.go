package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
)

// localName is the local authority's name, in messages and in its certificate.
const localName = "Alicorn local authority"

// local is an authority on this host, for development and for names that no public authority
// certifies. A browser that trusts its root certificate trusts all its certificates.
type local struct{ storage *certmagic.FileStorage }

// The files of a local authority in its Storage.
const (
	localRoot = "local/root.crt"
	localKey  = "local/root.key"
)

// How long the local authority's certificates are valid. Those of names have a short life,
// because they cannot be revoked.
const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 7 * 24 * time.Hour
)

// RootFile returns the path of the root certificate of the local authority in folder.
func RootFile(folder string) string { return filepath.Join(folder, filepath.FromSlash(localRoot)) }

// IssuerKey implements certmagic.Issuer.
func (l *local) IssuerKey() string { return "local" }

// Issue implements certmagic.Issuer.
func (l *local) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if attemptOf(ctx) == nil {
		return nil, errNotAsked
	}
	root, key, err := l.root(ctx)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: slices.Clone(csr.DNSNames), IPAddresses: slices.Clone(csr.IPAddresses),
	}
	// Developers use these names, too.
	if !slices.Contains(leaf.DNSNames, "localhost") {
		leaf.DNSNames = append(leaf.DNSNames, "localhost")
	}
	leaf.IPAddresses = append(leaf.IPAddresses, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, csr.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign a certificate: %w", err)
	}
	chain := append(pemOf("CERTIFICATE", der), pemOf("CERTIFICATE", root.Raw)...)
	return &certmagic.IssuedCertificate{Certificate: chain, Metadata: struct{}{}}, nil
}

// root returns the authority's certificate and key. It makes new ones if there are none, or
// if they will expire soon.
func (l *local) root(ctx context.Context) (*x509.Certificate, crypto.Signer, error) {
	if err := l.storage.Lock(ctx, "local"); err != nil {
		return nil, nil, fmt.Errorf("cannot lock the local authority: %w", err)
	}
	defer l.storage.Unlock(context.WithoutCancel(ctx), "local")
	root, key, err := l.load(ctx)
	if errors.Is(err, fs.ErrNotExist) || err == nil && time.Until(root.NotAfter) < 2*leafLife {
		return l.create(ctx)
	}
	return root, key, err
}

func (l *local) load(ctx context.Context) (*x509.Certificate, crypto.Signer, error) {
	content, err := l.storage.Load(ctx, localRoot)
	if err != nil {
		return nil, nil, err
	}
	secret, err := l.storage.Load(ctx, localKey)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, nil, fmt.Errorf("cannot read the local authority: %s is not in PEM format", l.storage.Filename(localRoot))
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the local authority: %w", err)
	}
	key, err := certmagic.PEMDecodePrivateKey(secret)
	return root, key, err
}

func (l *local) create(ctx context.Context) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	name := localName
	if host, err := os.Hostname(); err == nil {
		name += " of " + host
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(rootLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if err := l.storage.Store(ctx, localKey, secret); err != nil {
		return nil, nil, fmt.Errorf("cannot store the local authority: %w", err)
	}
	if err := l.storage.Store(ctx, localRoot, pemOf("CERTIFICATE", der)); err != nil {
		return nil, nil, fmt.Errorf("cannot store the local authority: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	return root, key, err
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// serial returns 127 random bits; RFC 5280 allows up to 20 bytes.
func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // rand.Reader never fails
	}
	return n
}
