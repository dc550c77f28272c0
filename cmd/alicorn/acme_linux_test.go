package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/tls/acmetest"
)

// mount puts a file system of its own over the state directory.
func (h *httpsHost) mount(flags uintptr, options string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, "state")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		h.t.Fatalf("cannot mount a file system: %v", err)
	}
	h.t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			h.t.Error(err)
		}
	})
}

// remount makes the state directory's file system one that can be used.
func (h *httpsHost) remount(options string) {
	h.t.Helper()
	if err := syscall.Mount("", filepath.Join(h.dir, "state"), "", syscall.MS_REMOUNT, options); err != nil {
		h.t.Fatalf("cannot remount a file system: %v", err)
	}
}

// A state directory that takes nothing costs certificates, not the site: port
// 80 serves, the log says why, and once the directory takes files again the
// certificate comes.
func TestTheSiteAnswersWithoutAUsableState(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		flags   uintptr
		options string
		fill    int
		says    string
	}{
		{"read-only", syscall.MS_RDONLY, "mode=1777", 0, "read-only file system"},
		{"full", 0, "mode=1777,size=64k", 64 << 10, "no space left on device"},
	} {
		for _, master := range masters {
			t.Run(tc.name+" "+strings.Trim(master, ";\n"), func(t *testing.T) {
				t.Parallel()
				h := newHTTPSHost(t, acmetest.Options{})
				h.mount(tc.flags, tc.options)
				if tc.fill > 0 {
					// The file ends where the space does.
					_ = os.WriteFile(filepath.Join(h.dir, "state", "filler"), make([]byte, tc.fill), 0o600)
				}
				h.run(master + shop)
				h.awaitLog(tc.says)
				h.awaitLog("cannot obtain a certificate for shop.example.com: ")
				if status, text, _, err := h.get("http://shop.example.com/"); status != 200 || text != "served" {
					t.Errorf(`port 80 answers %d %q %v; want 200 and "served"`, status, text, err)
				}
				if n := h.ca.Certificates(""); n != 0 {
					t.Errorf("%d certificates were issued that nobody can keep, want 0", n)
				}
				h.remount("mode=1777,size=4m")
				h.awaitTrusted("shop.example.com")
			})
		}
	}
}

// A renewal that the state cannot take leaves the certificate that is there,
// for this process and for the next one.
func TestAFullStateKeepsTheOldCertificate(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		t.Run(strings.Trim(master, ";\n"), func(t *testing.T) {
			t.Parallel()
			h := newHTTPSHost(t, acmetest.Options{})
			h.mount(0, "mode=1777,size=1m")
			h.run(master + shop)
			before := h.awaitTrusted("shop.example.com")
			// The file ends where the space does.
			filler := filepath.Join(h.dir, "state", "filler")
			if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err == nil {
				t.Fatal("the file system is not full")
			}
			if out, err := h.try("cert", "renew", "shop.example.com"); err == nil || !strings.Contains(out, "no space left on device") {
				t.Errorf(`a renewal without space: %v: %s; want an error with "no space left on device"`, err, out)
			}
			if n := h.ca.Certificates(""); n != 1 {
				t.Errorf("%d certificates were issued, of which one can be kept; want 1", n)
			}
			if after := h.awaitTrusted("shop.example.com"); after.SerialNumber.Cmp(before.SerialNumber) != 0 {
				t.Errorf("certificate %v is shown, want %v, which is kept", after.SerialNumber, before.SerialNumber)
			}
			h.verb("stop")
			if err := h.cmd.Wait(); err != nil {
				t.Errorf("the end: %v", err)
			}
			h.run(master + shop)
			if after := h.awaitTrusted("shop.example.com"); after.SerialNumber.Cmp(before.SerialNumber) != 0 {
				t.Errorf("the next process has certificate %v, want %v", after.SerialNumber, before.SerialNumber)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			h.verb("cert", "renew", "shop.example.com")
			if after := h.awaitTrusted("shop.example.com"); after.SerialNumber.Cmp(before.SerialNumber) == 0 {
				t.Errorf("after a renewal with space left certificate %v is shown, want a new one", after.SerialNumber)
			}
		})
	}
}

// "alicorn serve --domain NAME" and nothing else leads to trusted HTTPS. The
// machine around it is as on the Internet: its resolver leads the name here,
// and its store has the authority's root.
func TestServeGetsACertificateForItsDomain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := newHTTPSHost(t, acmetest.Options{Challenges: []string{kind}})
			write(t, h.dir, "hosts", h.addr+" shop.example.com\n")
			write(t, h.dir, "app.py", upgradedApp)
			h.cmd = startCommand(t, h.dir, nil, []string{"/usr/bin/unshare", "--mount", "/bin/sh", "-c", `mount --bind hosts /etc/hosts && exec "$0" "$@"`,
				ownProgram(t), "serve", "--domain", "shop.example.com", "--acme-ca", h.ca.Directory(), "-b", h.addr + ":443", "-w", "1"},
				"SSL_CERT_FILE="+h.ca.RootFile())
			h.awaitTrusted("shop.example.com")
			if status, to, _, err := h.get("http://shop.example.com/"); status != 301 || to != "https://shop.example.com/" {
				t.Errorf(`port 80 answers %d %q %v; want 301 and "https://shop.example.com/"`, status, to, err)
			}
		})
	}
}
