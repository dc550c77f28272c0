package acmetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// writeIdentity makes the certificate of the authority's API, which is its
// own root.
func (c *CA) writeIdentity() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "acmetest API"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(c.RootFile(), certPEM, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "api.key"), keyPEM, 0o600); err != nil {
		return err
	}
	c.pool = x509.NewCertPool()
	c.pool.AppendCertsFromPEM(certPEM)
	c.cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return err
}

// fetch returns the content of url.
func (c *CA) fetch(url string) ([]byte, error) {
	res, err := c.client().Get(url)
	if err != nil {
		return nil, err
	}
	return content(res)
}

// post sends v, as JSON.
func (c *CA) post(url string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	res, err := c.client().Post(url, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	_, err = content(res)
	return err
}

func content(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return text, err
}
