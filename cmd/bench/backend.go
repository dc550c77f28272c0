package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// backend is what a server passes requests on to. All servers of a case have the same
// backend. What the backend costs is not measured.
type backend struct {
	name, title string
	// directive passes requests on to it: proxy_pass, or that of a gateway protocol.
	directive string
	// address returns where the backend is to listen, as nginx and gunicorn write it.
	address func(s *site, dir string) (string, error)
	// start starts it and returns what stops it.
	start func(s *site, dir, address string) (stop func() error, err error)
	// version returns the version for the report; nil: it is part of bench.
	version func() (string, error)
}

// backends returns a gunicorn and an origin that costs next to nothing, each by both
// kinds of sockets, and a uWSGI by each gateway protocol.
func backends() []backend {
	socket := func(_ *site, dir string) (string, error) { return "unix:" + filepath.Join(dir, "backend.sock"), nil }
	port := func(s *site, _ string) (string, error) { return s.freeAddress() }
	return []backend{
		{"gunicorn-unix", "gunicorn by a unix socket", "proxy_pass", socket, startGunicornBackend, gunicornVersion},
		{"gunicorn-tcp", "gunicorn by TCP", "proxy_pass", port, startGunicornBackend, gunicornVersion},
		{"origin-unix", "fast origin by a unix socket", "proxy_pass", socket, startOriginBackend, nil},
		{"origin-tcp", "fast origin by TCP", "proxy_pass", port, startOriginBackend, nil},
		{"uwsgi", "uWSGI by uwsgi_pass", "uwsgi_pass", socket, startUwsgiBackend("--socket"), uwsgiVersion},
		{"fastcgi", "uWSGI by fastcgi_pass", "fastcgi_pass", socket, startUwsgiBackend("--fastcgi-socket"), uwsgiVersion},
		{"scgi", "uWSGI by scgi_pass", "scgi_pass", socket, startUwsgiBackend("--scgi-socket"), uwsgiVersion},
	}
}

// backendNamed returns the backend of that name, which must exist.
func backendNamed(name string) backend {
	all := backends()
	return all[slices.IndexFunc(all, func(b backend) bool { return b.name == name })]
}

// isGateway reports whether the backend speaks another protocol than HTTP.
func (b backend) isGateway() bool { return b.directive != "proxy_pass" }

// upstreamBlock and passLocation are what nginx's documentation of keepalive recommends,
// with the header fields that an application behind a proxy needs. alicorn gets the same
// text.
const upstreamBlock = `upstream backend {
    server %s;
    keepalive 64;
}
`

const passLocation = `    location / {
        proxy_pass http://backend;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
`

// gatewayParams are the parameters of nginx's uwsgi_params file. A WSGI application needs
// all of them; those of FastCGI and SCGI lack PATH_INFO.
const gatewayParams = `QUERY_STRING $query_string
REQUEST_METHOD $request_method
CONTENT_TYPE $content_type
REQUEST_URI $request_uri
PATH_INFO $document_uri
DOCUMENT_ROOT $document_root
SERVER_PROTOCOL $server_protocol
REQUEST_SCHEME $scheme
HTTPS $https if_not_empty
REMOTE_ADDR $remote_addr
REMOTE_PORT $remote_port
SERVER_PORT $server_port
SERVER_NAME $server_name
`

// gatewayLocation passes requests on to address by the protocol whose directives begin
// with family: uwsgi, fastcgi or scgi. nginx and alicorn send CONTENT_LENGTH by SCGI in any
// case.
func gatewayLocation(family, address string) string {
	params := gatewayParams + "CONTENT_LENGTH $content_length\n"
	if family == "scgi" {
		params = gatewayParams + "SCGI 1\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "    location / {\n        %s_pass %s;\n", family, address)
	for param := range strings.Lines(params) {
		fmt.Fprintf(&b, "        %s_param %s;\n", family, strings.TrimSpace(param))
	}
	b.WriteString("    }\n")
	return b.String()
}

// startBackend starts the named backend and has the site's servers pass requests on
// to it.
func (s *site) startBackend(name string) (stop func() error, err error) {
	b := backendNamed(name)
	dir, err := s.serverDir(b.name)
	if err != nil {
		return nil, err
	}
	address, err := b.address(s, dir)
	if err != nil {
		return nil, err
	}
	if stop, err = b.start(s, dir, address); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", b.title, err)
	}
	if b.isGateway() {
		s.passes = gatewayLocation(strings.TrimSuffix(b.directive, "_pass"), address)
		return stop, nil
	}
	s.directives += fmt.Sprintf(upstreamBlock, address)
	s.passes = passLocation
	return stop, nil
}

// startGunicornBackend starts a gunicorn. It does not wait until gunicorn listens:
// server.ready asks until the answer is right.
func startGunicornBackend(s *site, dir, address string) (stop func() error, err error) {
	p, err := startGunicornAt(s, dir, address)
	if err != nil {
		return nil, err
	}
	return p.stop, nil
}

// startGunicornAt starts a gunicorn of the site's application that listens at address,
// with more arguments.
func startGunicornAt(s *site, dir, address string, more ...string) (*process, error) {
	path, err := program("gunicorn")
	if err != nil {
		return nil, err
	}
	return startProcess(dir, path, append(more, gunicornArgs(s, address)...), nil)
}

func startOriginBackend(_ *site, _, address string) (stop func() error, err error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	o, err := newOrigin(network, address)
	if err != nil {
		return nil, err
	}
	return o.close, nil
}

// startUwsgiBackend returns a function that starts a uWSGI of the site's application. flag
// is uWSGI's option for a socket of the protocol.
func startUwsgiBackend(flag string) func(s *site, dir, address string) (stop func() error, err error) {
	return func(s *site, dir, address string) (stop func() error, err error) {
		path, err := program("uwsgi")
		if err != nil {
			return nil, err
		}
		p, err := startProcess(dir, path, uwsgiArgs(s, flag, strings.TrimPrefix(address, "unix:")), nil)
		if err != nil {
			return nil, err
		}
		return p.stop, nil
	}
}
