package acme

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/mholt/acmez/v3/acme"
)

// A stop waits for the cleanup of an order, so it must not wait for a command that does not
// end.
func TestACleanupThatHangsDelaysNoStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "hook")
	if err := os.WriteFile(script, []byte("echo \"$@\" >"+dir+"/asked\nsleep 3600\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	ch := acme.Challenge{Type: DNS01, KeyAuthorization: "a.b", Identifier: acme.Identifier{Type: "dns", Value: "example.com"}}
	if err := (hook{[]string{"/bin/sh", script}}).CleanUp(stopped, ch); err == nil {
		t.Error("a command that was ended is taken for a success")
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if want := "cleanup _acme-challenge.example.com. " + ch.DNS01KeyAuthorization() + "\n"; err != nil || string(asked) != want {
		t.Errorf("the command got %q, %v; want %q", asked, err, want)
	}
}
