package main

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// benchCase is one request, repeated.
type benchCase struct {
	name  string
	title string
	app   string // the application that the server runs, as module:callable; empty: none
	asgi  bool   // the application's interface is ASGI, not WSGI
	// backend is the name of the backend that the server passes the request on to;
	// empty: none.
	backend string
	path    string
	body    []byte // of a POST; empty: the request is a GET
	script  string // wrk's script that posts the same body
	want    func() []byte
	tls     bool // the request is https
	fresh   bool // each request has its own connection and full handshake
	// socket says that the path is a WebSocket's, which echoes messages: a message counts
	// as a request.
	socket bool
}

func (c benchCase) method() string {
	if len(c.body) > 0 {
		return http.MethodPost
	}
	return http.MethodGet
}

// kind returns what the case is about, for the report.
func (c benchCase) kind() string {
	switch {
	case c.backend != "" && backendNamed(c.backend).isGateway():
		return "gateways"
	case c.backend != "":
		return "proxying"
	case c.tls:
		return "TLS"
	case c.socket:
		return "WebSockets"
	case c.asgi:
		return "ASGI applications"
	case c.app != "":
		return "WSGI applications"
	}
	return "files"
}

// frontAlone reports whether the server runs no application.
func (c benchCase) frontAlone() bool { return c.app == "" }

// sharesServers reports whether the servers of c can serve o, too.
func (c benchCase) sharesServers(o benchCase) bool {
	return c.app == o.app && c.asgi == o.asgi && c.backend == o.backend && c.tls == o.tls
}

const (
	helloApp    = "hello:app"
	asgiApp     = "asgiapp:app"
	fastapiApp  = "fastapiapp:app"
	flaskApp    = "flaskapp:app"
	occupiedApp = "occupied:app"
	slowApp     = "slow:app"
)

// helloText is the body of the hello cases, and tenKiB the body of the 10 KiB cases.
const helloText = "Hello, World!"

func tenKiB() []byte { return bytes.Repeat([]byte("x"), 10<<10) }

// hundredEvents is the body of the event stream.
func hundredEvents() (text []byte) {
	for n := range 100 {
		text = fmt.Appendf(text, "data: %d\n\n", n)
	}
	return text
}

// allCases returns the cases in the order of the report.
func allCases() []benchCase {
	text := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	file := func(i int) func() []byte {
		return func() []byte { return staticContent(staticFiles[i].size) }
	}
	cases := []benchCase{
		{name: "static-1k", title: "static 1 KiB", path: "/static/1k", want: file(0)},
		{name: "static-100k", title: "static 100 KiB", path: "/static/100k", want: file(1)},
		{name: "static-10m", title: "static 10 MiB", path: "/static/10m", want: file(2)},
		{name: "tls", title: "TLS static 1 KiB", path: "/static/1k", want: file(0), tls: true},
		{name: "handshake", title: "TLS handshakes", path: "/static/1k", want: file(0), tls: true, fresh: true},
		{name: "hello", title: "WSGI hello", app: helloApp, path: "/", want: text(helloText)},
		{name: "10k", title: "WSGI 10 KiB", app: helloApp, path: "/10k", want: tenKiB},
		{name: "upload", title: "WSGI 64 KiB upload", app: helloApp, path: "/upload",
			body: bytes.Repeat([]byte("x"), 64<<10), script: "upload.lua", want: text("65536")},
		{name: "flask", title: "Flask hello", app: flaskApp, path: "/", want: text(helloText)},
		{name: "flask-json", title: "Flask JSON", app: flaskApp, path: "/json",
			want: text(`{"message":"Hello, World!"}`)},
		{name: "asgi-hello", title: "ASGI hello", app: asgiApp, asgi: true, path: "/", want: text(helloText)},
		{name: "asgi-10k", title: "ASGI 10 KiB", app: asgiApp, asgi: true, path: "/10k", want: tenKiB},
		{name: "fastapi-json", title: "FastAPI JSON", app: fastapiApp, asgi: true, path: "/json",
			want: text(`{"message":"Hello, World!"}`)},
		{name: "asgi-upload", title: "ASGI 64 KiB upload", app: asgiApp, asgi: true, path: "/upload",
			body: bytes.Repeat([]byte("x"), 64<<10), script: "upload.lua", want: text("65536")},
		{name: "events", title: "event stream of 100 small events", app: asgiApp, asgi: true, path: "/events", want: hundredEvents},
		{name: "websocket", title: "WebSocket echo", app: asgiApp, asgi: true, path: "/", socket: true},
	}
	for _, b := range backends() {
		way := "proxy"
		if b.isGateway() {
			way = "gateway"
		}
		cases = append(cases,
			benchCase{name: way + "-hello-" + b.name, title: way + " hello, " + b.title, backend: b.name, path: "/", want: text(helloText)},
			benchCase{name: way + "-10k-" + b.name, title: way + " 10 KiB, " + b.title, backend: b.name, path: "/10k", want: tenKiB})
	}
	return cases
}

// caseNamed returns the case of that name.
func caseNamed(name string) (benchCase, error) {
	cases, err := chooseCases(name)
	if err != nil {
		return benchCase{}, err
	}
	return cases[0], nil
}

// chooseCases returns the cases of a comma-separated list; all if the list is empty. An
// item may be a pattern of path.Match.
func chooseCases(list string) ([]benchCase, error) {
	all := allCases()
	if list == "" {
		return all, nil
	}
	var chosen []benchCase
	for _, item := range fields(list) {
		before := len(chosen)
		for _, c := range all {
			if ok, err := path.Match(item, c.name); err != nil {
				return nil, fmt.Errorf("invalid case %q: %w", item, err)
			} else if ok {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("unknown case %q; there are %s", item, names(all, func(c benchCase) string { return c.name }))
		}
	}
	return chosen, nil
}

func names[T any](items []T, name func(T) string) string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = name(item)
	}
	return strings.Join(list, ", ")
}
