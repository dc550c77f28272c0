package osfile

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestANameIsRemovedByWhoMadeItAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.sock")
	bind := func() Name {
		os.Remove(path)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		return NameOf(path)
	}
	exists := func() bool { _, err := os.Lstat(path); return err == nil }
	first, second := bind(), bind()
	if first.Ours() || !second.Ours() {
		t.Errorf("the first server's: %v, its successor's: %v; want the second alone", first.Ours(), second.Ours())
	}
	if !first.Lost() || second.Lost() || (Name{}).Lost() {
		t.Errorf("lost are the first server's: %v, its successor's: %v, nobody's: %v; want the first alone", first.Lost(), second.Lost(), Name{}.Lost())
	}
	first.Remove()
	Name{}.Remove()
	if !exists() {
		t.Error("the first server has removed the name of its successor")
	}
	second.Remove()
	if exists() || second.Ours() {
		t.Error("a server does not remove its own name")
	}
	if !second.Lost() {
		t.Error("a name that was removed is not lost")
	}
}
