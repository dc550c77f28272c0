package tls

import (
	"crypto/tls"
	"crypto/x509"

	"alicorn/config"
)

// IssuerOf returns the certificate that has signed cert's own. It looks in cert's
// chain, and then in a PEM file of CAs, which may be "" and is read through h. It
// returns nil when neither has it. Errors are one sentence that names the file.
func IssuerOf(h config.Host, cert *tls.Certificate, file string) (*x509.Certificate, error) {
	var issuer *x509.Certificate
	consider := func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err == nil && issuer == nil && cert.Leaf.CheckSignatureFrom(c) == nil {
			issuer = c
		}
		return err
	}
	for _, der := range cert.Certificate[1:] {
		if err := consider(der); err != nil {
			return nil, err
		}
	}
	if issuer != nil || file == "" {
		return issuer, nil
	}
	return issuer, eachBlock(h, file, "certificate", "CERTIFICATE", consider)
}
