package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"alicorn/config"
)

// Verifier verifies the certificates of clients, or those of servers. It does not change
// after the first Verify or VerifyServer.
type Verifier struct {
	shown         *x509.CertPool      // the CAs whose names handshakes send to clients
	roots         *x509.CertPool      // the CAs that may end a chain
	intermediates []*x509.Certificate // the CAs that may be inside a chain, but not end it
	crls          []*x509.RevocationList
	depth         int
	digest        hash.Hash // of all CAs; Verifiers with the same digest resume each other's sessions
}

// NewVerifier returns a Verifier without CAs. depth is how many CAs may be between a client's
// certificate and a root.
func NewVerifier(depth int) *Verifier {
	return &Verifier{shown: x509.NewCertPool(), roots: x509.NewCertPool(), depth: depth, digest: sha256.New()}
}

// Trust reads CAs from a PEM file through h. With shown, handshakes send the names of the CAs
// to clients. Errors are one sentence that names the file.
func (v *Verifier) Trust(h config.Host, file string, shown bool) error {
	return eachBlock(h, file, "certificate", "CERTIFICATE", func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err == nil {
			v.trust(c, shown)
		}
		return err
	})
}

// Revoke reads lists of revoked certificates from a PEM file through h. After that, each CA
// of a chain must have a list. Errors are one sentence that names the file.
func (v *Verifier) Revoke(h config.Host, file string) error {
	return eachBlock(h, file, "revocation list", "X509 CRL", func(der []byte) error {
		l, err := x509.ParseRevocationList(der)
		v.crls = append(v.crls, l)
		return err
	})
}

// trust adds a CA. As with OpenSSL, a chain must end at a CA that has signed itself.
func (v *Verifier) trust(c *x509.Certificate, shown bool) {
	v.digest.Write(c.Raw)
	if shown {
		v.shown.AddCert(c)
	}
	if isSelfSigned(c) {
		v.roots.AddCert(c)
	} else {
		v.intermediates = append(v.intermediates, c)
	}
}

func isSelfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// eachBlock calls f with each PEM block of a kind in a file. It is an error if there is none.
func eachBlock(h config.Host, file, what, kind string, f func(der []byte) error) error {
	rest, err := h.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read %s %q: %w", what, file, reason(err))
	}
	found := false
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != kind && b.Type != "TRUSTED "+kind {
			continue
		}
		if err := f(b.Bytes); err != nil {
			return fmt.Errorf("cannot use %s %q: %s", what, file, bare(err))
		}
		found = true
	}
	if !found {
		return fmt.Errorf("cannot use %s %q: it holds no %s in PEM format", what, file, what)
	}
	return nil
}

// Refusal says why a certificate is not accepted.
type Refusal struct {
	// Reason is OpenSSL's text: "certificate has expired".
	Reason string
	// Code is OpenSSL's number (X509_V_ERR_...).
	Code int
	// NoCA says that the only fault is that no chain leads to a trusted CA.
	NoCA bool
}

// Verify verifies chain at time now. chain has the client's own certificate first, and is not
// empty. Verify returns nil if it accepts the chain.
func (v *Verifier) Verify(chain []*x509.Certificate, now time.Time) *Refusal {
	return v.verify(chain, now, x509.ExtKeyUsageClientAuth, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement)
}

// VerifyServer is Verify for a server's chain. It does not look at names; see IsFor.
func (v *Verifier) VerifyServer(chain []*x509.Certificate, now time.Time) *Refusal {
	return v.verify(chain, now, x509.ExtKeyUsageServerAuth, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement)
}

// verify verifies a chain for a purpose, for which its first certificate has at least one
// of the uses.
func (v *Verifier) verify(chain []*x509.Certificate, now time.Time, purpose x509.ExtKeyUsage, uses x509.KeyUsage) *Refusal {
	if usage := chain[0].KeyUsage; usage != 0 && usage&uses == 0 {
		return &Refusal{"unsuitable certificate purpose", 26, false}
	}
	between := x509.NewCertPool()
	for _, c := range append(chain[1:len(chain):len(chain)], v.intermediates...) {
		between.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{
		Roots: v.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{purpose},
	})
	if err != nil {
		return refusalOf(chain, err, now)
	}
	var last *Refusal
	for _, path := range paths {
		if last = v.check(path, now); last == nil {
			return nil
		}
	}
	return last
}

// check verifies one chain that ends at a root.
func (v *Verifier) check(path []*x509.Certificate, now time.Time) *Refusal {
	if len(path)-2 > v.depth {
		return v.tooLong(path)
	}
	if len(v.crls) == 0 {
		return nil
	}
	var last *Refusal // as in nginx, the last refusal counts
	for i, c := range path {
		if r := v.revoked(c, path[min(i+1, len(path)-1)], now); r != nil {
			last = r
		}
	}
	return last
}

// tooLong returns the refusal for a chain that is too long. As in nginx that is not OpenSSL's
// "chain too long", but the error after it.
func (v *Verifier) tooLong(path []*x509.Certificate) *Refusal {
	for _, c := range path[1 : v.depth+2] {
		if slices.ContainsFunc(v.intermediates, c.Equal) {
			return &Refusal{"unable to get issuer certificate", 2, false}
		}
	}
	return &Refusal{"unable to get local issuer certificate", 20, true}
}

func (v *Verifier) revoked(c, issuer *x509.Certificate, now time.Time) *Refusal {
	missing := &Refusal{"unable to get certificate CRL", 3, false}
	for _, l := range v.crls {
		if !bytes.Equal(l.RawIssuer, issuer.RawSubject) {
			continue
		}
		if l.CheckSignatureFrom(issuer) != nil {
			missing = &Refusal{"CRL signature failure", 8, false}
			continue
		}
		if now.After(l.NextUpdate) && !l.NextUpdate.IsZero() {
			missing = &Refusal{"CRL has expired", 12, false}
			continue
		}
		for _, e := range l.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return &Refusal{"certificate revoked", 23, false}
			}
		}
		return nil
	}
	return missing
}

// refusalOf returns OpenSSL's refusal for an error of crypto/x509.
func refusalOf(chain []*x509.Certificate, err error, now time.Time) *Refusal {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
				return &Refusal{"certificate is not yet valid", 9, false}
			}
			return &Refusal{"certificate has expired", 10, false}
		case x509.IncompatibleUsage:
			return &Refusal{"unsuitable certificate purpose", 26, false}
		case x509.NotAuthorizedToSign:
			return &Refusal{"invalid CA certificate", 24, false}
		case x509.TooManyIntermediates:
			return &Refusal{"path length constraint exceeded", 25, false}
		}
		return &Refusal{"certificate rejected", 28, false}
	}
	if !errors.As(err, new(x509.UnknownAuthorityError)) {
		return &Refusal{"certificate rejected", 28, false}
	}
	switch {
	case isSelfSigned(chain[0]):
		return &Refusal{"self-signed certificate", 18, true}
	case isSelfSigned(chain[len(chain)-1]):
		return &Refusal{"self-signed certificate in certificate chain", 19, true}
	}
	return &Refusal{"unable to verify the first certificate", 21, true}
}
