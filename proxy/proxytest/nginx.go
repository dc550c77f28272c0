package proxytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nginxMain begins every configuration: one process, in the foreground, that
// keeps all its files in DIR.
const nginxMain = `daemon off; master_process off; pid DIR/pid; error_log DIR/error.log info; events { }
http {
	client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/g;
	server_names_hash_max_size 4096;
`

// NginxDir returns a folder for an nginx and the unix sockets of its servers.
// Its path is short, because theirs are bounded; it goes with the test.
func NginxDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nginx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// StartNginx runs a real nginx in dir until the test ends or stop is called.
// http is what its http block has beside the paths; DIR in it is dir. It
// returns once nginx listens, and fails t when nginx does not start.
func StartNginx(t testing.TB, dir, http string) (stop func()) {
	t.Helper()
	conf := strings.ReplaceAll(nginxMain+http+"\n}\n", "DIR", dir)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	stop = func() { cmd.Process.Kill(); <-ended }
	t.Cleanup(stop)
	Eventually(t, func() bool {
		select {
		case <-ended:
			t.Fatalf("nginx does not start: %s\n%s", out.String(), conf)
		default:
		}
		_, err := os.Stat(filepath.Join(dir, "pid"))
		return err == nil
	}, "nginx does not start with\n%s", conf)
	return stop
}
