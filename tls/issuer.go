package tls

import (
	"crypto/tls"
	"crypto/x509"

	"alicorn/config"
)

// IssuerOf returns the certificate that has signed cert's own: from its chain,
// or else, where there is one, from a PEM file of CAs that is read through h;
// nil when neither has it. Errors are one sentence that names the file.
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
