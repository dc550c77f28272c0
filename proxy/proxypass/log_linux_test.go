package proxypass

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// The log names the folder or the socket that keeps the server from its upstream.
func TestTheLogNamesWhatRefusesAConnection(t *testing.T) {
	dir := t.TempDir()
	for path := filepath.Dir(dir); path != os.TempDir() && len(path) > 1; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for folder, mode := range map[string]os.FileMode{"open": 0o755, "closed": 0o700} {
		folder = filepath.Join(dir, folder)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(folder, "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for name, mode := range map[string]os.FileMode{"s": mode, "": mode} {
			if os.Geteuid() != 0 && (name == "s" || mode != 0o755) {
				mode = 0
			}
			if err := os.Chmod(filepath.Join(folder, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { os.Chmod(folder, 0o755) })
	}
	for _, c := range []struct{ socket, want string }{
		{"open/s", `connect() to unix:DIR/open/s failed (13: Permission denied) while connecting to upstream: "DIR/open/s" is 0`},
		{"closed/s", `connect() to unix:DIR/closed/s failed (13: Permission denied) while connecting to upstream: "DIR/closed" is 0`},
		{"none/s", `connect() to unix:DIR/none/s failed (2: No such file or directory) while connecting to upstream: "DIR/none" does not exist`},
		{"open/none", `connect() to unix:DIR/open/none failed (2: No such file or directory) while connecting to upstream, client:`},
	} {
		t.Run(c.socket, func(t *testing.T) {
			s := site(t, proxytest.Config{Goroutines: true, Text: "server { listen 127.0.0.1:80; location / { proxy_pass http://unix:" + filepath.Join(dir, c.socket) + "; } }"})
			proxytest.AsNobody(func() { s.Get("/") })
			if want := strings.ReplaceAll(c.want, "DIR", dir); !strings.Contains(s.Log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, s.Log)
			}
		})
	}
}
