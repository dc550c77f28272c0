package ssl_test

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// The responder holds the question until the test ends.
func TestHandshakesDoNotWaitForAResponder(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dir := t.TempDir()
	newAuthority(t, dir, "ca").server(t, "site", "a.example", false)
	bundle(t, dir, "chain.crt", "site.crt", "ca.crt")
	s := proxytest.New(t, configOf(dir, `show ok; server { listen 127.0.0.1:443 ssl; ssl_certificate chain.crt; ssl_certificate_key site.key;
		ssl_stapling on; ssl_stapling_responder http://`+silent.Addr().String()+`; }`))
	question, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer question.Close()
	if got, state, err := ask(t, s, &stdtls.Config{ServerName: "a.example", InsecureSkipVerify: true}); err != nil || got != "ok" || len(state.OCSPResponse) > 0 {
		t.Errorf(`got %q, %v; want "ok" and no OCSPResponse`, got, err)
	}
}

func TestCheckTellsWhatStaplingDoes(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	leaf := func(name string, urls ...string) {
		ca.sign(t, name, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{"a.example"}, OCSPServer: urls}, newKey(t, false))
	}
	leaf("none")
	leaf("odd", "ldap://ocsp.example")
	leaf("url", "ldap://ocsp.example", "http://ocsp.example/a")
	for _, name := range []string{"none", "odd", "url"} {
		if err := os.Rename(filepath.Join(dir, name+".key"), filepath.Join(dir, name+"-chain.key")); err != nil {
			t.Fatal(err)
		}
		bundle(t, dir, name+"-chain.crt", name+".crt", "ca.crt")
	}
	response, err := asn1.Marshal(struct{ Status asn1.Enumerated }{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "response.der"), response, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ cert, settings, want string }{
		{"url-chain.crt", "", ""},
		{"url-chain.crt", "ssl_stapling off;", ""},
		{"url-chain.crt", "ssl_stapling on;", `verbose: ssl_stapling asks http://ocsp.example/a about certificate "DIR/url-chain.crt"`},
		{"url-chain.crt", "ssl_stapling on; ssl_stapling_file response.der;", ""},
		{"url-chain.crt", "ssl_stapling on; ssl_stapling_verify on;", `verbose: ssl_stapling asks http://ocsp.example/a about certificate "DIR/url-chain.crt"`},
		{"none-chain.crt", "ssl_stapling on;", `verbose: ssl_stapling has no effect: certificate "DIR/none-chain.crt" names no OCSP responder`},
		{"odd-chain.crt", "ssl_stapling on;", `verbose: ssl_stapling has no effect: certificate "DIR/odd-chain.crt" names no OCSP responder`},
		{"none-chain.crt", "ssl_stapling on; ssl_stapling_responder http://other.example;", `verbose: ssl_stapling asks http://other.example about certificate "DIR/none-chain.crt"`},
		{"url.crt", "ssl_stapling on;", `ssl_stapling has no effect: the issuer of certificate "DIR/url.crt" is neither in that file nor in ssl_trusted_certificate`},
		{"url.crt", "ssl_stapling on; ssl_trusted_certificate ca.crt;", `verbose: ssl_stapling asks http://ocsp.example/a about certificate "DIR/url.crt"`},
		{"$ssl_server_name.crt", "ssl_stapling on;", "verbose: ssl_stapling has no effect here: the certificate is known only in the handshake"},
		{"$ssl_server_name.crt", "ssl_stapling on; ssl_stapling_file response.der;", ""},
	} {
		key := strings.TrimSuffix(strings.TrimSuffix(c.cert, ".crt"), "-chain") + "-chain.key"
		warnings, err := proxytest.Check(t, configOf(dir, "server { listen 443 ssl; server_name a.example; ssl_certificate "+c.cert+"; ssl_certificate_key "+key+"; "+c.settings+" }"))
		if err != nil {
			t.Errorf("%s: %v", c.settings, err)
		}
		got := ""
		for _, w := range warnings {
			if strings.Contains(w.Msg, "ssl_stapling_verify") {
				continue // has no effect
			}
			if w.Verbose {
				got += "verbose: "
			}
			got += w.Msg
		}
		if want := strings.ReplaceAll(c.want, "DIR", dir); got != want {
			t.Errorf("%s, %s:\n got %s\nwant %s", c.cert, c.settings, got, want)
		}
	}
	if _, err := proxytest.Check(t, configOf(dir, "ssl_stapling_responder ocsp.example;")); err == nil || !strings.Contains(err.Error(), `:1:24: ssl_stapling_responder takes a URL that begins with http:// or https://, not "ocsp.example"`) {
		t.Errorf("got %v, want an error with %q", err, `:1:24: ssl_stapling_responder takes a URL that begins with http:// or https://, not "ocsp.example"`)
	}
}
