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
	"testing"
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
