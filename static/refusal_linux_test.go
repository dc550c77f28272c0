package static_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestTheLogNamesTheFolderThatRefuses(t *testing.T) {
	root := folder(t, map[string]string{"home/site/a.txt": "a", "b.txt": "b", "list/x": ""})
	for name, mode := range map[string]os.FileMode{"home": 0o700, "b.txt": 0o600, "list": 0o711} {
		if os.Geteuid() != 0 {
			mode = 0
		}
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(root, name), 0o755) })
	}
	for dir := filepath.Dir(root); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, root, "server { listen 80; root ROOT; autoindex on; location /try/ { try_files /home/site/a.txt =404; } }")
	for _, c := range []struct {
		target, who string
		status      int
	}{
		{"/home/site/a.txt", "home", 403},
		{"/home/site/", "home", 403},
		{"/b.txt", "b.txt", 403},
		{"/list/", "list", 403},
		{"/try/", "home", 404},
	} {
		s.Log.Reset()
		var r *proxytest.Recorder
		proxytest.AsNobody(func() { r = s.Get(c.target) })
		want := `(13: Permission denied): "` + filepath.Join(root, c.who) + `" is 0`
		if r.Status != c.status || !strings.Contains(s.Log.String(), want) || !strings.Contains(s.Log.String(), "; the server runs as ") {
			t.Errorf(`%s: got %d, log %q; want %d, %q and "; the server runs as " in it`, c.target, r.Status, s.Log, c.status, want)
		}
	}
}
