package ssl_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/ssl"
	"alicorn/proxy/transport"
)

// excepted are findings above LOW that say nothing about the server.
var excepted = map[string]string{
	"engine_problem":  "the machine's openssl has no GOST",
	"cert_revocation": "the test's authority has neither lists nor OCSP",
}

type finding struct{ ID, Severity, Finding string }

func TestTestsslFindsNothingAboveLowInTheDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.server(t, "ec", "shop.example", false)
	ca.server(t, "rsa", "shop.example", true)
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{ssl.New([]string{transport.HTTP1}), show(), header.Module()}, Serve: http1.Serve, Text: `
		show ok; hsts on; add_header X-Content-Type-Options nosniff;
		server { listen 127.0.0.1:443 ssl; server_name shop.example;
			ssl_certificate ec.crt; ssl_certificate_key ec.key; ssl_certificate rsa.crt; ssl_certificate_key rsa.key; }`})
	for _, c := range []struct {
		name, checks string
		seen         map[string]string // severities by id: the scan has really run
	}{
		{"protocols, ciphers, certificates, headers", "-p -s -f -P -S -h", map[string]string{
			"SSLv3": "OK", "TLS1_2": "OK", "TLS1_3": "OK", "cipherlist_3DES_IDEA": "INFO", "cipherlist_STRONG": "OK", "PFS": "OK",
			"cipher_order": "OK", "cert_trust": "OK", "cert_chain_of_trust": "OK", "HSTS_time": "OK"}},
		{"vulnerabilities", "-U", map[string]string{
			"heartbleed": "OK", "CCS": "OK", "ticketbleed": "OK", "ROBOT": "OK", "secure_renego": "OK", "secure_client_renego": "OK", "CRIME_TLS": "OK",
			"BREACH": "OK", "POODLE_SSL": "OK", "SWEET32": "OK", "FREAK": "OK", "DROWN": "OK", "LOGJAM": "OK", "BEAST": "OK", "LUCKY13": "LOW", "RC4": "OK"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]string{}
			for _, f := range testssl(t, s, "shop.example", filepath.Join(dir, "ca.crt"), c.checks) {
				id, _, _ := strings.Cut(f.ID, " ") // "cert_trust <cert#1>"
				seen[id] = f.Severity
				if excepted[id] == "" && f.Severity != "OK" && f.Severity != "INFO" && f.Severity != "LOW" {
					t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
				}
			}
			for id, want := range c.seen {
				if seen[id] != want {
					t.Errorf("%s: got %q, want %s", id, seen[id], want)
				}
			}
		})
	}
}

func TestTestsslFindsWhatAConfigurationWeakens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newAuthority(t, dir, "ca").server(t, "rsa", "shop.example", true)
	s := proxytest.New(t, configOf(dir, `show ok; server { listen 127.0.0.1:443 ssl; ssl_certificate rsa.crt; ssl_certificate_key rsa.key;
		ssl_ciphers HIGH:DES-CBC3-SHA; }`))
	seen := map[string]string{}
	for _, f := range testssl(t, s, "shop.example", filepath.Join(dir, "ca.crt"), "-s") {
		seen[f.ID] = f.Severity
	}
	if got := seen["cipherlist_3DES_IDEA"]; got != "MEDIUM" {
		t.Errorf(`3DES is %q, want "MEDIUM"`, got)
	}
}

// testssl runs Debian's testssl.sh against s's first listener, which host
// names, with a CA added to those it trusts.
func testssl(t *testing.T, s *proxytest.Server, host, ca, checks string) []finding {
	t.Helper()
	out := filepath.Join(t.TempDir(), "findings.json")
	_, port, _ := strings.Cut(s.Addr(""), ":")
	args := append([]string{"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--add-ca", ca, "--jsonfile", out},
		append(strings.Fields(checks), "https://"+host+":"+port)...)
	// Its exit status only counts findings.
	text, _ := exec.Command("testssl", args...).CombinedOutput()
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var all []finding
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatalf("%v in\n%s\n%s", err, content, text)
	}
	return all
}
