package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"alicorn/tls/acmetest"
)

// listening returns the addresses on which pid and its descendants listen for
// TCP, in their order.
func listening(t *testing.T, pid int) (out []string) {
	t.Helper()
	inodes := map[string]bool{}
	for _, p := range append(descendants(pid), pid) {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p))
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "socket:[") {
				inodes[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			const address, state, inode, listen = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) > inode && f[state] == listen && inodes[f[inode]] {
				out = append(out, hexAddress(t, f[address]))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func descendants(pid int) (out []int) {
	for _, task := range taskChildren(pid) {
		for f := range strings.FieldsSeq(string(task)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}

// hexAddress reads an address of /proc/net/tcp: words of 32 bits in the
// machine's order, which is little-endian here.
func hexAddress(t *testing.T, text string) string {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil {
		t.Fatalf("cannot read the address %q", text)
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	addr, _ := netip.AddrFromSlice(b)
	return net.JoinHostPort(addr.String(), strconv.FormatUint(n, 10))
}

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
					t.Errorf("port 80 answers %d %q %v", status, text, err)
				}
				if n := h.ca.Certificates(""); n != 0 {
					t.Errorf("%d certificates were issued that nobody can keep", n)
				}
				h.remount("mode=1777,size=4m")
				h.awaitTrusted("shop.example.com")
			})
		}
	}
}
