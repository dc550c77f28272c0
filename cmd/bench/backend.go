package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// backend is what a server passes requests on to. All servers of a case have the
// same one, which is no part of what is measured.
type backend struct {
	name, title string
	// address returns where the backend is to listen, as nginx and gunicorn write it.
	address func(s *site, dir string) (string, error)
	// start starts it and returns what stops it.
	start func(s *site, dir, address string) (stop func() error, err error)
}

// backends returns a gunicorn and an origin that costs next to nothing, each by both
// kinds of sockets.
func backends() []backend {
	socket := func(_ *site, dir string) (string, error) { return "unix:" + filepath.Join(dir, "backend.sock"), nil }
	port := func(s *site, _ string) (string, error) { return s.freeAddress() }
	return []backend{
		{"gunicorn-unix", "gunicorn by a unix socket", socket, startGunicornBackend},
		{"gunicorn-tcp", "gunicorn by TCP", port, startGunicornBackend},
		{"origin-unix", "fast origin by a unix socket", socket, startOriginBackend},
		{"origin-tcp", "fast origin by TCP", port, startOriginBackend},
	}
}

// upstreamBlock and passLocation are nginx as its documentation of keepalive has it,
// with the header fields that an application behind a proxy wants. alicorn takes the
// same text.
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

// startBackend starts the named backend and has the site's servers pass requests on
// to it.
func (s *site) startBackend(name string) (stop func() error, err error) {
	all := backends()
	b := all[slices.IndexFunc(all, func(b backend) bool { return b.name == name })]
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
	s.directives += fmt.Sprintf(upstreamBlock, address)
	s.passes = passLocation
	return stop, nil
}

// startGunicornBackend starts a gunicorn. Who asks a server before it listens is told
// so, and asks again: see server.ready.
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
