package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// asgiUpstream has what the upstream's own guides ask for in nginx's http block:
// connections to it are kept, and a request's Upgrade decides what Connection says.
const asgiUpstream = `upstream asgi {
    server unix:%s;
    keepalive 64;
}
map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
}
`

const asgiLocation = `        location / {
            proxy_pass http://asgi;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
`

// asgiKeepAlive is how many seconds the upstream keeps a connection: longer than nginx,
// so that it never closes one that nginx is about to use.
const asgiKeepAlive = "75"

// launchAsgiNginx starts nginx as a proxy of an ASGI server, and returns the socket that
// it passes requests to.
func (s *server) launchAsgiNginx(site *site) (socket string, err error) {
	socket = filepath.Join(s.dir, "app.sock")
	own := *site
	own.directives += fmt.Sprintf(asgiUpstream, socket)
	return socket, s.launchNginx(&own, asgiLocation)
}

// startNginxUvicorn starts nginx in front of uvicorn.
func startNginxUvicorn(s *site) (*server, error) {
	server, err := newServer(s, "nginx+uvicorn")
	if err != nil {
		return nil, err
	}
	socket, err := server.launchAsgiNginx(s)
	if err == nil {
		err = server.launchProgram("uvicorn", uvicornArgs(s, "--uds", socket))
	}
	return started(server, err)
}

// startUvicorn starts uvicorn alone.
func startUvicorn(s *site) (*server, error) {
	server, err := newServer(s, "uvicorn")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(server.addr)
	if err == nil {
		err = server.launchProgram("uvicorn", uvicornArgs(s, "--host", host, "--port", port))
	}
	return started(server, err)
}

// uvicornArgs returns uvicorn's arguments to serve the site's application at an address.
func uvicornArgs(s *site, address ...string) []string {
	args := append(address, "--workers", strconv.Itoa(s.workers), "--app-dir", s.appDir(),
		"--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log",
		"--timeout-keep-alive", asgiKeepAlive)
	if s.maxRequests > 0 {
		args = append(args, "--limit-max-requests", strconv.Itoa(s.maxRequests))
	}
	return append(args, s.app)
}

// startGunicornUvicorn starts nginx in front of gunicorn with uvicorn's workers.
func startGunicornUvicorn(s *site) (*server, error) {
	server, err := newServer(s, "nginx+gunicorn+uvicorn")
	if err != nil {
		return nil, err
	}
	socket, err := server.launchAsgiNginx(s)
	if err == nil {
		args := append([]string{"-k", "uvicorn.workers.UvicornWorker", "--keep-alive", asgiKeepAlive}, gunicornArgs(s, "unix:"+socket)...)
		err = server.launchProgram("gunicorn", args)
	}
	return started(server, err)
}

// startHypercorn starts hypercorn alone.
func startHypercorn(s *site) (*server, error) {
	server, err := newServer(s, "hypercorn")
	if err == nil {
		err = server.launch(python, []string{"-m", "hypercorn", "--bind", server.addr, "--workers", strconv.Itoa(s.workers),
			"-k", "uvloop", "--keep-alive", asgiKeepAlive, "--log-level", "warning", s.app}, s.importPath())
	}
	return started(server, err)
}

// startDaphne starts daphne alone. It has one process.
func startDaphne(s *site) (*server, error) {
	server, err := newServer(s, "daphne")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(server.addr)
	if err == nil {
		err = server.launch(python, []string{"-m", "daphne", "-b", host, "-p", port, "-v", "0", s.app}, s.importPath())
	}
	return started(server, err)
}

// importPath is the environment in which Python finds the site's applications.
func (s *site) importPath() []string { return []string{"PYTHONPATH=" + s.appDir()} }

// launchProgram adds a process of an installed program.
func (s *server) launchProgram(name string, args []string) error {
	path, err := program(name)
	if err != nil {
		return err
	}
	return s.launch(path, args, nil)
}

func uvicornVersion() (string, error) { return versionOf("uvicorn", "--version") }

func gunicornUvicornVersion() (string, error) {
	gunicorn, gunicornErr := gunicornVersion()
	uvicorn, err := uvicornVersion()
	return gunicorn + ", " + uvicorn, errors.Join(gunicornErr, err)
}

func hypercornVersion() (string, error) { return packageVersion("hypercorn") }

func daphneVersion() (string, error) { return packageVersion("daphne") }

// packageVersion returns the name and version of a Python package.
func packageVersion(name string) (string, error) {
	out, err := exec.Command(python, "-c", "import sys; from importlib.metadata import version; print(version(sys.argv[1]))", name).Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask Python for the version of %s: %w", name, err)
	}
	return name + " " + strings.TrimSpace(string(out)), nil
}
