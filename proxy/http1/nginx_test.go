package http1_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"alicorn/proxy/proxytest"
)

// startNginx runs a real nginx until the test ends, with settings in a server on unix:DIR/s
// that answers as echo does: it passes each request, of which it has read head and body, to
// a backend, with its method, path and host. Its access log, DIR/access.log, has a line with
// the lengths of each request.
func startNginx(t testing.TB, settings string) (dir string) {
	t.Helper()
	dir = proxytest.NginxDir(t)
	startBackend(t, filepath.Join(dir, "backend"))
	proxytest.StartNginx(t, dir, `log_format lengths "$uri $request_length $bytes_sent $body_bytes_sent"; access_log DIR/access.log lengths;
		upstream backend { server unix:DIR/backend; }
		connection_pool_size 256;
		server { listen unix:DIR/s; set $path x; `+settings+`
			location / { proxy_pass http://backend/$path; proxy_http_version 1.1; proxy_pass_request_headers off; proxy_ignore_client_abort on;
				proxy_set_header X-Path $uri; proxy_set_header X-Host $host; } }`)
	return dir
}

// startBackend answers requests of nginx on a unix socket, with what nginx has read.
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
