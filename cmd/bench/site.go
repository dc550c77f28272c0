package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"
)

//go:embed apps
var apps embed.FS

// staticFiles are the files that every server gives out below /static/.
var staticFiles = []struct {
	name string
	size int
}{
	{"1k", 1 << 10},
	{"100k", 100 << 10},
	{"10m", 10 << 20},
}

// site is what all servers of one run have in common: the temporary directory
// with applications and files, and the shape of their pools.
type site struct {
	dir         string
	app         string // module:callable
	asgi        bool   // the interface of app is ASGI, not WSGI
	workers     int
	threads     int
	maxRequests int // zero: workers are not recycled
	streams     int // of all ASGI workers together; zero: alicorn's default
	// settings are further lines of alicorn's application.
	settings    string
	connections int // that a process of nginx may have
	descriptors int // that a process of alicorn may have; 0: as many as this one
	priority    int // worker_priority of nginx and alicorn: the nice value of what serves clients
	// directives are further lines that mean the same to nginx and alicorn.
	directives string
	// apps and locations are further lines of alicorn's configuration, and
	// prepare, if not nil, makes the files that they name.
	apps, locations string
	prepare         func() error
	// passes is the location, the same for nginx and alicorn, that passes requests on
	// to a backend; without one alicorn passes them to its application.
	passes string
	secure bool            // withServers makes it an identity
	tls    *identity       // what servers speak TLS with; nil: plain HTTP
	given  map[string]bool // addresses that freeAddress has returned
}

// newSite fills a new temporary directory, readable by every user so that
// servers may drop privileges. The caller removes dir.
func newSite() (*site, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, app: "hello:app", workers: 2, threads: 1, connections: 4096, given: map[string]bool{}}
	if err := s.fill(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot fill %s: %w", dir, err)
	}
	return s, nil
}

func (s *site) fill() error {
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.staticDir(), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.appDir(), 0o755); err != nil {
		return err
	}
	// Applications write here, whoever they run as.
	records := filepath.Join(s.dir, "records")
	if err := errors.Join(os.Mkdir(records, 0o777), os.Chmod(records, 0o777)); err != nil {
		return err
	}
	for _, file := range staticFiles {
		path := filepath.Join(s.staticDir(), file.name)
		if err := os.WriteFile(path, staticContent(file.size), 0o644); err != nil {
			return err
		}
	}
	return fs.WalkDir(apps, "apps", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := apps.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.appDir(), entry.Name()), data, 0o644)
	})
}

// appDir is the applications' directory. Nothing else is below it: whatever changes
// there makes an application new.
func (s *site) appDir() string { return filepath.Join(s.dir, "apps") }

func (s *site) staticDir() string { return filepath.Join(s.dir, "static") }

// serverDir makes the directory for one server's configuration, sockets and logs.
func (s *site) serverDir(name string) (string, error) {
	dir, err := os.MkdirTemp(s.dir, name)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// freeAddress returns a loopback address whose port nobody listens on, another one
// each time: what asked for one may not listen there yet.
func (s *site) freeAddress() (string, error) {
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := listener.Addr().String()
		listener.Close()
		if !s.given[addr] {
			s.given[addr] = true
			return addr, nil
		}
	}
}

// staticContent returns size bytes that do not compress, the same in every run.
func staticContent(size int) []byte {
	var seed [32]byte
	data := make([]byte, size)
	rand.NewChaCha8(seed).Read(data)
	return data
}

// deploy makes the application new, as a deploy does: a reload leaves one alone
// whose files are as they were.
func (s *site) deploy() error {
	files, err := filepath.Glob(filepath.Join(s.appDir(), "*.py"))
	now := time.Now()
	for _, file := range files {
		err = errors.Join(err, os.Chtimes(file, now, now))
	}
	return err
}
