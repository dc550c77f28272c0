package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startDeadline is how long a server may take to its first right answer.
const startDeadline = time.Minute

// peer is one kind of server.
type peer struct {
	name string
	// build says that it is an earlier build of alicorn.
	build bool
	// serves reports whether it takes part in a case.
	serves func(c benchCase) bool
	// programs are the programs that it needs. If one is missing, the peer counts as
	// not installed.
	programs []string
	// module is a module of Debian's Python that it needs, too; empty: none.
	module string
	// version returns the version for the report.
	version func() (string, error)
	// start starts it for the site; the caller stops what it returns.
	start func(s *site) (*server, error)
}

// server is a peer that runs.
type server struct {
	name      string
	dir       string
	addr      string      // host:port
	tls       *tls.Config // the configuration of clients; nil: plain HTTP
	processes []*process
	// reload replaces workers without losing a request; nil if nobody knows how.
	reload func(ctx context.Context) error
	// workers lists the pids of the workers that are ready.
	workers func(ctx context.Context) ([]int, error)
	// front lists the pids of the processes that talk to clients, and of those that
	// manage them.
	front func() ([]int, error)
	// goroutines returns the number of the front's goroutines; nil if it has none.
	goroutines func(ctx context.Context) (int, error)
	verbs      *verbs // alicorn's commands; nil for others
}

// url returns the address of a path on the server.
func (s *server) url(path string) string {
	if s.tls != nil {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

// roots returns the pids of the processes that bench has started.
func (s *server) roots() []int {
	pids := make([]int, len(s.processes))
	for i, p := range s.processes {
		pids[i] = p.pid()
	}
	return pids
}

// usage returns the usage of all processes of the server.
func (s *server) usage() (usage, error) { return proc.usage(s.roots()...) }

// launch adds a process to the server.
func (s *server) launch(path string, args, env []string) error {
	p, err := startProcess(s.dir, path, args, env)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	return nil
}

// stop ends every process, front first, and waits for each.
func (s *server) stop() error {
	var errs []error
	for _, p := range s.processes {
		if err := p.stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

// ready waits until the server gives the right answer to c. It fails at once if one of
// the server's processes ends.
func (s *server) ready(ctx context.Context, c benchCase) error {
	deadline := time.Now().Add(startDeadline)
	for {
		err := s.check(ctx, c)
		if err == nil || ctx.Err() != nil {
			return err
		}
		for _, p := range s.processes {
			if p.exited() {
				return fmt.Errorf("%s: %s ended: %v\n%s", s.name, p.name, p.err, p.logTail())
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not ready within %v: %w\n%s", s.name, startDeadline, err, s.logs())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// check sends one request of the case and compares the answer's whole body.
func (s *server) check(ctx context.Context, c benchCase) error {
	if c.socket {
		return s.checkSocket(c)
	}
	request, err := http.NewRequestWithContext(ctx, c.method(), s.url(c.path), bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: s.tls}, Timeout: 10 * time.Second}
	body, err := fetch(client, request)
	if err != nil {
		return fmt.Errorf("%s of %s: %w\n%.300s", c.name, s.name, err, body)
	}
	if want := c.want(); !bytes.Equal(bytes.TrimSpace(body), bytes.TrimSpace(want)) {
		return fmt.Errorf("%s of %s: body is %.60q (%d bytes), want %.60q (%d bytes)",
			c.name, s.name, body, len(body), want, len(want))
	}
	return nil
}

// checkSocket compares what comes back of a short message and of one whose length takes
// more bytes, as text and as binary.
func (s *server) checkSocket(c benchCase) error {
	w, err := openWebSocket(0, s.addr, c.path)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", c.name, s.name, err)
	}
	defer w.conn.Close()
	for _, opcode := range []byte{opText, opBinary} {
		for _, size := range []int{echoSize, 1 << 10} {
			if err := w.echo(opcode, bytes.Repeat([]byte("x"), size)); err != nil {
				return fmt.Errorf("%s of %s: %w", c.name, s.name, err)
			}
		}
	}
	if err := w.close(); err != nil {
		return fmt.Errorf("%s of %s: %w", c.name, s.name, err)
	}
	return nil
}

func (s *server) logs() string {
	var b strings.Builder
	for _, p := range s.processes {
		fmt.Fprintf(&b, "%s: %s\n", p.name, p.logTail())
	}
	return b.String()
}

// withServers starts the named servers one after the other, on a site that shape has
// changed, calls measure with each, and stops it.
func withServers(ctx context.Context, list string, shape func(*site), measure func(*server) error) error {
	return withSite(ctx, list, func(s *site) error {
		shape(s)
		return nil
	}, measure)
}

// withSite is withServers for a shape that can fail.
func withSite(ctx context.Context, list string, shape func(*site) error, measure func(*server) error) (err error) {
	site, err := newSite()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(site.dir)) }()
	if err := shape(site); err != nil {
		return err
	}
	if site.secure {
		if site.tls, err = newIdentity(site.dir); err != nil {
			return err
		}
	}
	peers, _, err := choosePeers(newAlicorn(site.dir), list)
	if err != nil {
		return err
	}
	for _, p := range peers {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s, err := p.start(site)
		if err != nil {
			return err
		}
		if err := errors.Join(measure(s), s.stop()); err != nil {
			return err
		}
	}
	return nil
}

// newServer makes a directory and chooses a port for a server.
func newServer(s *site, name string) (*server, error) {
	dir, err := s.serverDir(strings.ReplaceAll(name, "+", "-"))
	if err != nil {
		return nil, err
	}
	addr, err := s.freeAddress()
	if err != nil {
		return nil, err
	}
	server := &server{name: name, dir: dir, addr: addr}
	if s.tls != nil {
		server.tls = s.tls.trust()
	}
	return server, nil
}

// write writes a configuration file into the server's directory.
func (s *server) write(name, text string) (path string, err error) {
	path = filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// program returns the path of a program. It looks in the distribution's directories
// first: a version manager's wrapper in PATH would run another Python than the other
// servers have.
func program(name string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}
