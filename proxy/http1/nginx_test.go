package http1_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// startNginx runs a real nginx until the test ends, with settings in a server
// on unix:DIR/s that answers as echo does: it hands requests, whose heads and
// bodies it has read, to a backend that is told what was understood. Its
// access log at DIR/access.log has a line of lengths a request.
func startNginx(t testing.TB, settings string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nginx") // short: socket paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	startBackend(t, filepath.Join(dir, "backend"))
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log info; events { }
		http { log_format lengths "$uri $request_length $bytes_sent $body_bytes_sent"; access_log %[1]s/access.log lengths;
		client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s1;
		upstream backend { server unix:%[1]s/backend; }
		connection_pool_size 256;
		server { listen unix:%[1]s/s; set $path x; %[2]s
			location / { proxy_pass http://backend/$path; proxy_http_version 1.1; proxy_pass_request_headers off; proxy_ignore_client_abort on;
				proxy_set_header X-Path $uri; proxy_set_header X-Host $host; } } }`, dir, settings)
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
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	proxytest.Eventually(t, func() bool {
		select {
		case <-ended:
			t.Fatalf("nginx does not start: %s\n%s", out.String(), conf)
		default:
		}
		_, err := os.Stat(filepath.Join(dir, "pid"))
		return err == nil
	}, "nginx does not start: %s", &out)
	return dir
}

// startBackend answers on a unix socket what nginx says of its request.
func startBackend(t testing.TB, socket string) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		text := fmt.Appendf(nil, "%s %s %s [%s]", r.Method, r.Header.Get("X-Path"), r.Header.Get("X-Host"), body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		w.Write(text)
	})}
	served := make(chan struct{})
	go func() { s.Serve(l); close(served) }()
	t.Cleanup(func() { s.Close(); <-served })
}
