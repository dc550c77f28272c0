package ssl_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// sClient does one request with openssl s_client and returns what it prints
// of the handshake, and the answer.
func sClient(t *testing.T, s *proxytest.Server, args ...string) string {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-ign_eof", "-crlf", "-connect", s.Addr("127.0.0.1:443")}, args...)...)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.1\nHost: a.example\nConnection: close\n\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl s_client %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// resumes reports whether a session, kept in file, resumes; both sides must say
// the same.
func resumes(t *testing.T, s *proxytest.Server, version, file string) bool {
	t.Helper()
	out := sClient(t, s, version, "-sess_in", file)
	client, server := strings.Contains(out, "\nReused, "), strings.Contains(out, "reused r.")
	if client != server || !strings.Contains(out, "reused ") {
		t.Errorf("client and server do not agree:\n%s", out)
	}
	return client
}

func sessionText(settings string) string {
	return `show "reused $ssl_session_reused."; ssl_certificate a.crt; ssl_certificate_key a.key; server { listen 127.0.0.1:443 ssl; ` + settings + ` }`
}

func TestOpenSSLResumesSessionsWhereItMay(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	for _, c := range []struct {
		settings string
		old, new bool // whether clients of TLS 1.2 and 1.3 resume
	}{
		{"", true, true},
		{"ssl_session_cache shared:SSL:1m;", true, true},
		{"ssl_session_tickets off;", false, false},
		{"ssl_session_tickets off; ssl_session_cache shared:SSL:1m;", false, true},
		{"ssl_session_tickets off; ssl_session_cache builtin:100;", false, true},
		{"ssl_session_tickets off; ssl_session_cache off;", false, false},
		{"ssl_session_timeout 0;", false, false},
		{"ssl_conf_command Options -SessionTicket;", false, false},
	} {
		s := proxytest.New(t, configOf(dir, sessionText(c.settings)))
		for version, want := range map[string]bool{"-tls1_2": c.old, "-tls1_3": c.new} {
			file := filepath.Join(t.TempDir(), "session")
			sClient(t, s, version, "-sess_out", file)
			if _, err := os.Stat(file); err != nil { // openssl had nothing to write
				if want {
					t.Errorf("%s %q: no session was given", version, c.settings)
				}
				continue
			}
			if got := resumes(t, s, version, file); got != want {
				t.Errorf("%s %q: resumed %v; want %v", version, c.settings, got, want)
			}
			if err := s.Reload(sessionText(c.settings)); err != nil {
				t.Fatal(err)
			}
			if got := resumes(t, s, version, file); got != want {
				t.Errorf("%s %q: resumed after a reload %v; want %v", version, c.settings, got, want)
			}
		}
	}
}

func TestTicketKeysChangeByReloads(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	for _, name := range []string{"one", "two"} {
		key := make([]byte, 80)
		rand.Read(key)
		if err := os.WriteFile(filepath.Join(dir, name), key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		s := proxytest.New(t, configOf(dir, sessionText("ssl_session_ticket_key one;")))
		file := filepath.Join(t.TempDir(), "session")
		sClient(t, s, version, "-sess_out", file)
		for _, c := range []struct {
			settings string
			want     bool
		}{
			{"ssl_session_ticket_key one;", true},
			{"ssl_session_ticket_key two; ssl_session_ticket_key one;", true},
			{"ssl_session_ticket_key two;", false},
			{"", false},
		} {
			if err := s.Reload(sessionText(c.settings)); err != nil {
				t.Fatal(err)
			}
			if got := resumes(t, s, version, file); got != c.want {
				t.Errorf("%s after a reload to %q: resumed %v; want %v", version, c.settings, got, c.want)
			}
		}
	}
}

func TestOpenSSLGetsTheCertificateItCanVerify(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	text := `show "reused ."; `
	for _, name := range []string{"a", "b"} {
		ca.server(t, name+"-ec", name+".example", false)
		ca.server(t, name+"-rsa", name+".example", true)
		text += strings.ReplaceAll(`server { listen 127.0.0.1:443 ssl; server_name X.example; ssl_certificate X-rsa.crt; ssl_certificate_key X-rsa.key; ssl_certificate X-ec.crt; ssl_certificate_key X-ec.key; }`, "X", name)
	}
	s := proxytest.New(t, configOf(dir, text))
	const ecdsa, rsa = "Peer signature type: ECDSA", "Peer signature type: RSA"
	for _, c := range []struct{ args, want string }{
		{"-tls1_3", ecdsa},
		{"-tls1_2", ecdsa},
		{"-tls1_3 -sigalgs RSA-PSS+SHA256", rsa},
		{"-tls1_3 -sigalgs RSA-PSS+SHA256:ECDSA+SHA256", ecdsa},
		{"-tls1_2 -sigalgs RSA+SHA256", rsa},
		{"-tls1_2 -cipher aRSA", rsa},
		{"-tls1_2 -cipher aECDSA", ecdsa},
	} {
		for _, name := range []string{"a.example", "b.example"} {
			args := append(strings.Fields(c.args), "-servername", name, "-verify_return_error", "-verify_hostname", name, "-CAfile", filepath.Join(dir, "ca.crt"))
			if out := sClient(t, s, args...); !strings.Contains(out, c.want) || !strings.Contains(out, "subject=CN = "+name) || !strings.Contains(out, "Verify return code: 0 (ok)") {
				t.Errorf("%s for %s: %s is not in (want %q and \"Verify return code: 0 (ok)\" in it):\n%s", c.args, name, c.want, "subject=CN = "+name, out)
			}
		}
	}
}
