package ssl_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// clientCertificate makes a client's certificate by a CA, which is written to
// dir/ca.crt.
func clientCertificate(t *testing.T, dir, ca string) stdtls.Certificate {
	t.Helper()
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	life := func(c x509.Certificate) *x509.Certificate {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(50*time.Hour)
		return &c
	}
	root := life(x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ca}, IsCA: true, BasicConstraintsValid: true})
	leaf := life(x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "Ann", Organization: []string{"Shop"}}})
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, keys[0].Public(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, keys[1].Public(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ca+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return stdtls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: keys[1]}
}

func TestClientsAreAnsweredByTheirCertificate(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	known, strange := clientCertificate(t, dir, "known"), clientCertificate(t, dir, "strange")
	const refused, missing = "The SSL certificate error", "No required SSL certificate was sent"
	const untrusted = "FAILED:unable to verify the first certificate"
	for _, c := range []struct{ mode, none, known, strange string }{
		{"off", "NONE", "NONE", "NONE"}, // nobody is asked
		{"on", missing, "SUCCESS", refused},
		{"optional", "NONE", "SUCCESS", refused},
		{"optional_no_ca", "NONE", "SUCCESS", untrusted},
	} {
		s := proxytest.New(t, configOf(dir, fmt.Sprintf(`show $ssl_client_verify; ssl_certificate a.crt; ssl_certificate_key a.key;
			server { listen 127.0.0.1:443 ssl; ssl_client_certificate known.crt; ssl_verify_client %s; }`, c.mode)))
		for _, shown := range []struct {
			want string
			cert stdtls.Certificate
		}{{c.none, stdtls.Certificate{}}, {c.known, known}, {c.strange, strange}} {
			// By itself Go sends only what fits the CAs that it is shown.
			client := &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true,
				GetClientCertificate: func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) {
					return &shown.cert, nil
				}}
			got, _, err := ask(t, s, client)
			if err != nil || !strings.Contains(got, shown.want) {
				t.Errorf("%s: got %q, %v; want %q", c.mode, got, err, shown.want)
			}
		}
	}
}

func TestARefusalHasAnErrorPageAndEndsTheConnection(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	clientCertificate(t, dir, "known")
	s := proxytest.New(t, configOf(dir, `ssl_certificate a.crt; ssl_certificate_key a.key;
		server { listen 127.0.0.1:443 ssl; ssl_client_certificate known.crt; ssl_verify_client on; error_page 496 /why; show secret; location /why { show why; } }`))
	tc := stdtls.Client(s.Dial("127.0.0.1:443"), &stdtls.Config{InsecureSkipVerify: true})
	defer tc.Close()
	fmt.Fprint(tc, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	tc.SetReadDeadline(time.Now().Add(60 * time.Second))
	answer, err := io.ReadAll(tc)
	if text := string(answer); err != nil || !strings.HasPrefix(text, "HTTP/1.1 400 ") || !strings.HasSuffix(text, "why") {
		t.Errorf(`got %q, %v; want "HTTP/1.1 400 " at its beginning and "why" at its end`, answer, err)
	}
	s.Log.Wait(t, "client sent no required SSL certificate")
}

func TestVariablesTellOfTheClientsCertificate(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	cert := clientCertificate(t, dir, "known")
	raw := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	const layout = "Jan _2 15:04:05 2006 GMT"
	for name, want := range map[string]string{
		"s_dn": "CN=Ann,O=Shop", "i_dn": "CN=known", "serial": "0ABC", "fingerprint": fmt.Sprintf("%x", sha1.Sum(cert.Certificate[0])),
		"raw_cert": raw, "cert": strings.ReplaceAll(strings.TrimSpace(raw), "\n", "\n\t"),
		"escaped_cert": strings.ReplaceAll(url.QueryEscape(raw), "+", "%20"),
		"v_start":      leaf.NotBefore.UTC().Format(layout), "v_end": leaf.NotAfter.UTC().Format(layout), "v_remain": "2",
	} {
		s := proxytest.New(t, configOf(dir, `show "$ssl_client_`+name+`|"; ssl_certificate a.crt; ssl_certificate_key a.key;
			server { listen 127.0.0.1:443 ssl; ssl_client_certificate known.crt; ssl_verify_client optional; }`))
		for _, c := range []struct {
			certs []stdtls.Certificate
			want  string
		}{{nil, ""}, {[]stdtls.Certificate{cert}, want}} {
			got, _, err := ask(t, s, &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true, Certificates: c.certs})
			if err != nil || got != c.want+"|" {
				t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
			}
		}
	}
}

func TestAnotherServersCATellsNothing(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	one := clientCertificate(t, dir, "one")
	clientCertificate(t, dir, "two")
	s := proxytest.New(t, configOf(dir, `show $ssl_client_verify; ssl_certificate a.crt; ssl_certificate_key a.key;
		server { listen 127.0.0.1:443 ssl; server_name a.example; ssl_client_certificate one.crt; ssl_verify_client on; }
		server { listen 127.0.0.1:443 ssl; server_name b.example; ssl_client_certificate two.crt; ssl_verify_client on; }
		server { listen 127.0.0.1:443 ssl; server_name c.example; }`))
	tc := stdtls.Client(s.Dial("127.0.0.1:443"), &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true, Certificates: []stdtls.Certificate{one}})
	defer tc.Close()
	tc.SetDeadline(time.Now().Add(60 * time.Second))
	for _, c := range []struct{ host, want string }{
		{"a.example", "SUCCESS"}, {"c.example", "FAILED:certificate not trusted"}, {"b.example", "421 Misdirected Request"},
	} {
		fmt.Fprintf(tc, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", c.host)
		answer := make([]byte, 4096)
		if n, err := tc.Read(answer); err != nil || !strings.Contains(string(answer[:n]), c.want) {
			t.Errorf("%s: got %q, %v; want %s", c.host, answer[:n], err, c.want)
		}
	}
}

func TestASessionThatResumesIsJudgedAnew(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	one := clientCertificate(t, dir, "one")
	clientCertificate(t, dir, "two")
	text := func(ca string) string {
		return `show "$ssl_client_verify $ssl_session_reused"; ssl_certificate a.crt; ssl_certificate_key a.key;
			server { listen 127.0.0.1:443 ssl; ssl_client_certificate ` + ca + `.crt; ssl_verify_client optional; error_page 495 =200 /; }`
	}
	s := proxytest.New(t, configOf(dir, text("one")))
	client := &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: stdtls.NewLRUClientSessionCache(1),
		GetClientCertificate: func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) { return &one, nil }}
	for _, want := range []string{"SUCCESS .", "SUCCESS r"} {
		if got, _, err := ask(t, s, client); err != nil || got != want {
			t.Errorf("got %q, %v; want %s", got, err, want)
		}
	}
	if err := s.Reload(text("two")); err != nil {
		t.Fatal(err)
	}
	if got, _, err := ask(t, s, client); err != nil || got != "FAILED:unable to verify the first certificate ." {
		t.Errorf(`after the CA has changed: got %q, %v; want "FAILED:unable to verify the first certificate ."`, got, err)
	}
}
