package proxytest

import (
	"os"
	"path/filepath"
	"testing"
)

// PublicDir returns a folder of the test's that every user can enter and read:
// servers run without privileges.
func PublicDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
