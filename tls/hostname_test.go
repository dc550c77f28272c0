package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNamesAreThoseThatOpenSSLAccepts has openssl decide as well.
func TestNamesAreThoseThatOpenSSLAccepts(t *testing.T) {
	t.Parallel()
	names := []string{"a.test", "A.TEST", "x.a.test", "y.x.a.test", ".a.test", "xn--x.a.test", "www1.a.test", "1www.a.test", "www.a.test", "*.a.test", "a_b.a.test", "test", "a.test.", "127.0.0.1", "-x.a.test", "a..test", "xn--www.a.test"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "c")
	for _, c := range []struct {
		common string
		dns    []string
	}{
		{"a.test", nil}, {"a.test", []string{"b.test"}}, {"b.test", []string{"c.test", "a.test"}}, {"*.a.test", nil},
		{"", []string{"*.a.test"}}, {"", []string{"*.test"}}, {"", []string{"www*.a.test"}}, {"", []string{"*www.a.test"}},
		{"", []string{"w*w.a.test"}}, {"", []string{"x.*.test"}}, {"", []string{"*.*.a.test"}}, {"", []string{"xn--*.a.test"}},
		{"", []string{"*"}}, {"", []string{"127.0.0.1"}}, {"", []string{"*.0.0.1"}}, {"", []string{"*..test"}}, {"", []string{"*.A.Test"}},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.common}, DNSNames: c.dns, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Logf("%q: %v", c.dns, err)
			continue
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			out, err := exec.Command("openssl", "x509", "-noout", "-in", file, "-checkhost", name).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if want := strings.Contains(string(out), "does match"); IsFor(cert, name) != want && !strings.HasPrefix(name, ".") {
				t.Errorf("%q for a certificate of %q and %q: %v, openssl says %q", name, c.common, c.dns, !want, out)
			}
		}
		if IsFor(cert, "") {
			t.Errorf("a certificate of %q is for no name", c.dns)
		}
	}
}
