package tls_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/tls"
)

func TestEncryptedKeysAreOpenedByThePasswordThatFits(t *testing.T) {
	dir := t.TempDir()
	for name, asRSA := range map[string]bool{"ec": false, "rsa": true} {
		proxytest.WriteCertificate(t, dir, name, proxytest.Certificate{RSA: asRSA})
	}
	for _, c := range []struct{ cert, command string }{
		{"ec", "pkcs8 -topk8"},
		{"rsa", "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1"},
		{"ec", "pkcs8 -topk8 -v2 aes-192-cbc -v2prf hmacWithSHA512 -iter 100"},
		{"ec", "pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA384"},
		{"ec", "ec -aes256"},
		{"rsa", "rsa -aes128 -traditional"},
	} {
		cert, key := filepath.Join(dir, c.cert+".crt"), filepath.Join(dir, "encrypted")
		args := append(strings.Fields(c.command), "-in", filepath.Join(dir, c.cert+".key"), "-out", key, "-passout", "pass:right one")
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := tls.LoadPair(host, cert, key, "wrong", "", "right one"); err != nil {
			t.Errorf("%s: %v", c.command, err)
		}
		_, err := tls.LoadPair(host, cert, key, "wrong", "also")
		if err == nil || !strings.HasSuffix(err.Error(), `/encrypted": no password of ssl_password_file opens it`) {
			t.Errorf("%s with a wrong password: %v; want an error with %q at its end", c.command, err, `/encrypted": no password of ssl_password_file opens it`)
		}
	}
}

func TestEncryptedKeysThatCannotBeReadAreTold(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	for _, c := range []struct{ command, want string }{
		{"pkcs8 -topk8 -scrypt", "its encryption ("},
		{"pkcs8 -topk8 -v2 camellia-128-cbc", "its encryption ("},
	} {
		key := filepath.Join(dir, "encrypted")
		args := append(strings.Fields(c.command), "-in", filepath.Join(dir, "a.key"), "-out", key, "-passout", "pass:x")
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, err := tls.LoadPair(host, filepath.Join(dir, "a.crt"), key, "x")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "is not known") {
			t.Errorf(`%s: %v; want an error with %q and "is not known" in it`, c.command, err, c.want)
		}
	}
}

func TestContentMayStandInPlaceOfAFile(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	proxytest.WriteCertificate(t, dir, "b", proxytest.Certificate{})
	content := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return "data:" + string(b)
	}
	if _, err := tls.LoadPair(host, content("a.crt"), content("a.key")); err != nil {
		t.Error(err)
	}
	_, err := tls.LoadPair(host, content("a.crt"), content("b.key"))
	if want := `certificate key "data:" does not belong to the first certificate in "data:"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNamesThatCouldLeadElsewhereAreNoHosts(t *testing.T) {
	for name, want := range map[string]bool{
		"a.example": true, "xn--a_b-1.example": true, "A": true, "": false, ".": false, "..": false, "../a": false, "a/b": false,
		"a..b": false, ".a": false, "a\x00": false, "a b": false, `a\b`: false,
	} {
		if got := tls.IsHostName(name); got != want {
			t.Errorf("%q: got %v; want %v", name, got, want)
		}
	}
}
