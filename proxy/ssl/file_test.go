package ssl_test

import (
	stdtls "crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestVariablesChooseTheCertificateInTheHandshake(t *testing.T) {
	dir := t.TempDir()
	pool := certificates(t, dir, "a", "b")
	for _, name := range []string{"a", "b"} {
		for _, ext := range []string{".crt", ".key"} {
			if err := os.Rename(filepath.Join(dir, name+ext), filepath.Join(dir, name+".example"+ext)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := proxytest.New(t, configOf(dir, `
		show "$ssl_server_name";
		server { listen 127.0.0.1:443 ssl; server_name _; ssl_certificate $ssl_server_name.crt; ssl_certificate_key `+dir+`/$ssl_server_name.key; }`))
	for _, name := range []string{"a.example", "b.example"} {
		if got, _, err := ask(t, s, &stdtls.Config{ServerName: name, RootCAs: pool}); err != nil || got != name {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, c := range []struct{ name, log string }{
		{"none.example", `cannot read certificate "` + dir + `/none.example.crt": no such file or directory) while SSL handshaking, client: 127.0.0.1`},
		{"", "cannot read certificate"},
		{"../a.example", `client asked for "../a.example", which is not a host name`},
	} {
		if _, _, err := ask(t, s, &stdtls.Config{ServerName: c.name, InsecureSkipVerify: true}); err == nil {
			t.Errorf("%q was served", c.name)
		}
		s.Log.Wait(t, c.log)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.example.crt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.Log.String(); strings.Contains(got, "error: ") {
		t.Errorf("names that clients make up fill the log (want no \"error: \" in it):\n%s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.example.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ask(t, s, &stdtls.Config{ServerName: "broken.example", InsecureSkipVerify: true})
	s.Log.Wait(t, `error: cannot use certificate "`+dir+`/broken.example.crt": it holds no certificate in PEM format while SSL handshaking, client: 127.0.0.1:`)
}

func TestContentStandsInTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	pool := certificates(t, dir, "a")
	content := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	text := fmt.Sprintf(`show ok; server { listen 127.0.0.1:443 ssl; ssl_certificate "data:%s"; ssl_certificate_key "data:%s"; }`, content("a.crt"), content("a.key"))
	s := proxytest.New(t, configOf(dir, text))
	if got, _, err := ask(t, s, &stdtls.Config{ServerName: "a.example", RootCAs: pool}); err != nil || got != "ok" {
		t.Errorf(`got %q, %v; want "ok"`, got, err)
	}
	certificates(t, dir, "b")
	broken := strings.Replace(text, content("a.crt"), content("b.crt"), 1)
	_, err := proxytest.Check(t, configOf(dir, broken))
	if err == nil || strings.Contains(err.Error(), "BEGIN") || !strings.Contains(err.Error(), `key "data:" does not belong`) {
		t.Errorf(`got %v, want an error with no "BEGIN" and %q in it`, err, `key "data:" does not belong`)
	}
}
