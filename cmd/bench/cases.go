package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// benchCase is one request, repeated.
type benchCase struct {
	name   string
	title  string
	app    string // module:callable that must run; empty for files
	path   string
	body   []byte // not empty: it is posted
	script string // wrk's script that posts the same
	want   func() []byte
	tls    bool // by https
	fresh  bool // a connection and a full handshake for each request
}

func (c benchCase) method() string {
	if len(c.body) > 0 {
		return http.MethodPost
	}
	return http.MethodGet
}

// isStatic reports whether the case needs no application.
func (c benchCase) isStatic() bool { return c.app == "" }

const (
	helloApp    = "hello:app"
	flaskApp    = "flaskapp:app"
	occupiedApp = "occupied:app"
	slowApp     = "slow:app"
)

// allCases returns the cases in the order of the report.
func allCases() []benchCase {
	text := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	file := func(i int) func() []byte {
		return func() []byte { return staticContent(staticFiles[i].size) }
	}
	return []benchCase{
		{name: "static-1k", title: "static 1 KiB", path: "/static/1k", want: file(0)},
		{name: "static-100k", title: "static 100 KiB", path: "/static/100k", want: file(1)},
		{name: "static-10m", title: "static 10 MiB", path: "/static/10m", want: file(2)},
		{name: "tls", title: "TLS static 1 KiB", path: "/static/1k", want: file(0), tls: true},
		{name: "handshake", title: "TLS handshakes", path: "/static/1k", want: file(0), tls: true, fresh: true},
		{name: "hello", title: "WSGI hello", app: helloApp, path: "/", want: text("Hello, World!")},
		{name: "10k", title: "WSGI 10 KiB", app: helloApp, path: "/10k", want: text(strings.Repeat("x", 10<<10))},
		{name: "upload", title: "WSGI 64 KiB upload", app: helloApp, path: "/upload",
			body: bytes.Repeat([]byte("x"), 64<<10), script: "upload.lua", want: text("65536")},
		{name: "flask", title: "Flask hello", app: flaskApp, path: "/", want: text("Hello, World!")},
		{name: "flask-json", title: "Flask JSON", app: flaskApp, path: "/json",
			want: text(`{"message":"Hello, World!"}`)},
	}
}

// chooseCases returns the cases of a comma-separated list, or all for an empty one.
func chooseCases(list string) ([]benchCase, error) {
	all := allCases()
	if list == "" {
		return all, nil
	}
	var chosen []benchCase
	for _, name := range fields(list) {
		i := slices.IndexFunc(all, func(c benchCase) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown case %q; there are %s", name, names(all, func(c benchCase) string { return c.name }))
		}
		chosen = append(chosen, all[i])
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
