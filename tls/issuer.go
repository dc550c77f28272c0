package tls

import (
	"crypto/tls"
	"crypto/x509"

	"alicorn/config"
)

// IssuerOf returns the certificate that has signed cert's own. It looks for it in cert's
// chain, and then in a PEM file of CAs, which it reads through h; "" is no file. It returns
// nil if neither has it. Errors about the file are one sentence that names it.
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
