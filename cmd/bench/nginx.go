package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nginxFile is the configuration that nginx's tutorials and tuning guides recommend: a
// worker for each core, no access log, cached descriptors for files, connections that
// are kept for long. Buffers for request bodies, and the site's further directives, are
// as in alicornFile.
const nginxFile = `daemon off;
%[1]sworker_processes auto;
worker_rlimit_nofile %[2]d;
pid %[3]s/nginx.pid;
error_log stderr warn;
events {
    worker_connections %[7]d;
}
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 200m;
    client_body_buffer_size 128k;
    client_body_temp_path %[3]s/body;
    proxy_temp_path %[3]s/proxy;
    fastcgi_temp_path %[3]s/fastcgi;
    uwsgi_temp_path %[3]s/uwsgi;
    scgi_temp_path %[3]s/scgi;
    open_file_cache max=1000 inactive=60s;
    default_type application/octet-stream;
%[8]s    server {
        listen %[4]s%[9]s backlog=1024;
        location /static/ {
            alias %[5]s/;
        }
%[6]s    }
}
`

const gunicornLocation = `        location / {
            proxy_pass http://unix:%s;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
`

// userLine makes servers that are started as root stay root: another user could not
// write to the temporary directory.
func userLine() string {
	if os.Geteuid() == 0 {
		return "user root;\n"
	}
	return ""
}

// mainLines returns lines of a file's first level, which nginx and alicorn both know. Only
// root can raise a priority.
func (s *site) mainLines() string {
	if s.priority == 0 || os.Geteuid() != 0 {
		return userLine()
	}
	return fmt.Sprintf("%sworker_priority %d;\n", userLine(), s.priority)
}

// startNginx starts nginx alone, for files and as a proxy of the site's backend.
func startNginx(s *site) (*server, error) {
	server, err := newServer(s, "nginx")
	if err != nil {
		return nil, err
	}
	return started(server, server.launchNginx(s, s.passes))
}

// startGunicorn starts nginx in front of gunicorn's sync workers.
func startGunicorn(s *site) (*server, error) {
	server, err := newServer(s, "nginx+gunicorn")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(server.dir, "app.sock")
	if err := server.launchNginx(s, fmt.Sprintf(gunicornLocation, socket)); err != nil {
		return started(server, err)
	}
	path, err := program("gunicorn")
	if err == nil {
		err = server.launch(path, gunicornArgs(s, "unix:"+socket), nil)
	}
	return started(server, err)
}

// gunicornArgs returns gunicorn's arguments to serve the site's application at address.
func gunicornArgs(s *site, address string) []string {
	args := []string{"--bind", address, "--workers", strconv.Itoa(s.workers),
		"--chdir", s.appDir(), "--log-level", "warning", "--timeout", "60"}
	if s.threads > 1 {
		args = append(args, "--threads", strconv.Itoa(s.threads))
	}
	if s.maxRequests > 0 {
		args = append(args, "--max-requests", strconv.Itoa(s.maxRequests))
	}
	return append(args, s.app)
}

// startUwsgi starts nginx in front of uWSGI's processes.
func startUwsgi(s *site) (*server, error) {
	server, err := newServer(s, "nginx+uwsgi")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(server.dir, "app.sock")
	if err := server.launchNginx(s, gatewayLocation("uwsgi", "unix:"+socket)); err != nil {
		return started(server, err)
	}
	path, err := program("uwsgi")
	if err == nil {
		err = server.launch(path, uwsgiArgs(s, "--socket", socket), nil)
	}
	return started(server, err)
}

// uwsgiArgs returns uWSGI's arguments to serve the site's application on a socket of the kind
// that flag names.
func uwsgiArgs(s *site, flag, socket string) []string {
	args := []string{"--master", "--plugin", "python3", flag, socket,
		"--processes", strconv.Itoa(s.workers), "--chdir", s.appDir(), "--module", s.app,
		"--listen", strconv.Itoa(min(1024, maxBacklog())),
		"--need-app", "--die-on-term", "--disable-logging"}
	if s.threads > 1 {
		args = append(args, "--threads", strconv.Itoa(s.threads))
	}
	if s.maxRequests > 0 {
		args = append(args, "--max-requests", strconv.Itoa(s.maxRequests))
	}
	return args
}

// started returns the server; if err is set, it stops the processes that run already.
func started(s *server, err error) (*server, error) {
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", s.name, errors.Join(err, s.stop()))
	}
	if s.reload == nil {
		s.reload = s.hangUp
	}
	if s.workers == nil {
		s.workers = s.pythons
	}
	if s.front == nil {
		s.front = func() ([]int, error) { return proc.tree(s.processes[0].pid()) }
	}
	return s, nil
}

func (s *server) launchNginx(site *site, location string) error {
	file, err := s.write("nginx.conf", s.nginxConfiguration(site, location))
	if err != nil {
		return err
	}
	path, err := program("nginx")
	if err != nil {
		return err
	}
	return s.launch(path, []string{"-p", s.dir, "-c", file, "-e", "stderr"}, nil)
}

// nginxConfiguration returns nginx's configuration for the site, with one location more.
func (s *server) nginxConfiguration(site *site, location string) string {
	return fmt.Sprintf(nginxFile, site.mainLines(), max(site.connections, 16384), s.dir, s.addr, site.staticDir(), location,
		site.connections, site.sharedDirectives(), site.listenOptions())
}

// hangUp asks the application server to replace its workers, as HUP does for
// gunicorn and uWSGI.
func (s *server) hangUp(context.Context) error {
	return s.processes[len(s.processes)-1].signal(syscall.SIGHUP)
}

// pythons returns the processes below the application server's first one: with
// gunicorn and uWSGI the workers.
func (s *server) pythons(context.Context) ([]int, error) {
	tree, err := proc.tree(s.processes[len(s.processes)-1].pid())
	if err != nil || len(tree) == 0 {
		return nil, err
	}
	return tree[1:], nil
}

// maxBacklog returns how many connections may wait to be accepted, by the kernel's limit.
func maxBacklog() int {
	data, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return 128
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 128
	}
	return n
}

func nginxVersion() (string, error) {
	version, err := versionOf("nginx", "-v")
	return strings.TrimPrefix(version, "nginx version: "), err
}

func gunicornVersion() (string, error) { return versionOf("gunicorn", "--version") }

func uwsgiVersion() (string, error) {
	version, err := versionOf("uwsgi", "--version")
	return "uWSGI " + version, err
}
