// Package proxytest builds servers from configuration text for the tests of
// features: a Generation of the core and the modules under test, whose
// listeners are bound to free ports, whose error log is kept in memory.
//
// Two ways lead a request through it:
//
//	Server.Get, Do   an Exchange on a Recorder: no socket, no protocol loop
//	Server.Raw, Dial bytes to a listener, served by Config.Serve (http1.Serve)
//
// Its one event loop is unwatched (see Config.Watched): a handler that waits while it leads the loop
// stops every other connection, and so hangs the test of what is to go on
// meanwhile (see Server.Serves).
//
// RunPausing repeats tests where each phase of every location waits.
//
// A Server and all that it started ends with its test.
package proxytest

// Files:
//
//   - server.go recorder.go ways.go pauses.go: a server, and the ways in which requests go through it
//   - host.go log.go dir.go cert.go: what it has of the system, and in memory
//   - nginx.go port.go nobody.go: other programs beside it, and their rights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/transport"
)

// patience bounds every wait of this package: long enough for a slow and busy machine.
const patience = 60 * time.Second

// Config is what a Server is made of.
type Config struct {
	// Text is the configuration. Ports in listen are names only: each address
	// is bound to a free port, see Server.Addr.
	Text string
	// Modules are the features under test, without the core. A Module belongs
	// to one Server: make a new one for each.
	Modules []proxy.Module
	// Dir is the directory of relative paths and of "alicorn.conf"; a
	// temporary one when empty. Includes and certificates are read from it.
	Dir string
	// Serve is the protocol loop of accepted connections (http1.Serve). When
	// nil they are closed at once, and only Get and Do are of use.
	Serve proxy.ServeConn
	// Protocols are what ALPN may choose before HTTP/1.1, which is Serve.
	Protocols transport.Protocols
	// Goroutines has a goroutine serve each connection, as where the system
	// has no event loop, instead of a loop.
	Goroutines bool
	// Watched has the event loop watched, as in production.
	Watched bool
}

// Server is a running Engine.
type Server struct {
	Engine *proxy.Engine
	Loops  *eventloop.Group // nil without
	Log    *Log             // the error log of every server and location
	Dir    string           // Config.Dir

	t       testing.TB
	host    *Host
	schema  *config.Schema
	modules []proxy.Module
	lastRes *config.Resources
	nextID  atomic.Uint64
}

// New compiles and starts c, and fails t when it has a mistake.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	s := prepare(t, c)
	serve := c.Serve
	if serve == nil {
		serve = func(_ *proxy.Engine, nc net.Conn, _ *proxy.Conn) { nc.Close() }
	}
	if !c.Goroutines {
		s.Loops = loops(t, c.Watched)
	}
	s.Engine = proxy.NewEngine(transport.Serve(slices.Concat(c.Protocols, transport.Protocols{{Name: transport.HTTP1, Serve: serve}})), s.Loops)
	if err := s.Reload(c.Text); err != nil {
		t.Fatalf("cannot start the configuration:\n%v", err)
	}
	t.Cleanup(s.end)
	return s
}

// Check compiles c, starts nothing, and returns the warnings and the mistakes.
func Check(t testing.TB, c Config) ([]config.Warning, error) {
	t.Helper()
	s := prepare(t, c)
	l, g, err := s.compile(c.Text)
	l.Resources.Release()
	if g != nil {
		g.Stop(context.Background())
	}
	return l.Warnings(), err
}

// Scope reads c, compiles nothing, and returns the main Scope: for tests of
// settings.
func Scope(t testing.TB, c Config) *config.Scope {
	t.Helper()
	s := prepare(t, c)
	l, root, err := s.load(c.Text)
	if err != nil {
		t.Fatalf("cannot parse the configuration:\n%v", err)
	}
	main := l.Read(root)
	if err := l.Finish(); err != nil {
		t.Fatalf("cannot read the configuration:\n%v", err)
	}
	return main
}

func prepare(t testing.TB, c Config) *Server {
	s := &Server{t: t, Dir: c.Dir, Log: &Log{}, host: NewHost()}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	core := proxy.NewCore(proxy.Options{TempDir: s.Dir})
	s.modules = append(append([]proxy.Module{core}, c.Modules...), s.Log.module())
	if Pausing() {
		s.modules = append(s.modules, pauses())
	}
	s.schema = config.NewSchema()
	proxy.Register(s.schema, s.modules)
	s.lastRes = config.NewResources(s.host)
	return s
}

// Reload compiles and starts text, makes it the running configuration, and
// drains and stops the one before. On error nothing has changed.
func (s *Server) Reload(text string) error {
	l, g, err := s.compile(text)
	if err == nil {
		err = g.Start(context.Background())
	}
	if err != nil {
		l.Resources.Release()
		return err
	}
	old, oldRes := s.Engine.Swap(g), s.lastRes
	s.lastRes = l.Resources
	if old == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = s.Engine.Drain(ctx, old)
	old.Stop(ctx)
	oldRes.Release()
	return err
}

func (s *Server) load(text string) (*config.Load, *config.Node, error) {
	l := &config.Load{Schema: s.schema, Resources: s.lastRes.Next(s.host), Prefix: s.Dir, ConfDir: s.Dir}
	proxy.Declare(l, s.modules)
	main := filepath.Join(s.Dir, "alicorn.conf")
	tree, err := config.LoadFile(main, overlay{main, []byte(text)}, s.Dir)
	return l, tree.Root, err
}

func (s *Server) compile(text string) (*config.Load, *proxy.Generation, error) {
	l, root, err := s.load(text)
	if err != nil {
		return l, nil, err
	}
	g, err := proxy.Compile(l, l.Read(root), s.modules)
	return l, g, err
}

// loops returns nil where the system has none.
func loops(t testing.TB, watched bool) *eventloop.Group {
	t.Helper()
	start := eventloop.NewUnwatched
	if watched {
		start = eventloop.New
	}
	g, err := start(1)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	return g
}

func (s *Server) end() {
	if s.Loops != nil {
		defer s.Loops.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Engine.Shutdown(ctx, 0); err != nil {
		s.t.Errorf("connections were still open %s after shutdown began", patience)
	}
	s.Engine.Current().Stop(ctx)
	s.lastRes.Release()
}

// Addr returns where the address of a listen directive, written in full
// ("127.0.0.1:8080", "0.0.0.0:80", "[::]:80", "/path" for unix:/path), is
// really bound. With "" it returns the first listener's.
func (s *Server) Addr(listen string) string {
	s.t.Helper()
	for _, l := range s.Engine.Current().Listeners {
		if listen == "" || l.Address == listen {
			return l.Addr().String()
		}
	}
	s.t.Fatalf("nothing listens on %q", listen)
	return ""
}

// Dial connects to Addr(listen). The connection has a deadline and is closed
// with the test.
func (s *Server) Dial(listen string) net.Conn {
	s.t.Helper()
	network, addr := "tcp", s.Addr(listen)
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// Raw sends request to the first listener as it is and returns every byte
// that comes back until the server closes; so requests say Connection: close.
func (s *Server) Raw(request string) string {
	s.t.Helper()
	nc := s.Dial("")
	if _, err := io.WriteString(nc, request); err != nil {
		s.t.Fatal(err)
	}
	answer, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Fatalf("the server did not close; it sent %q", answer)
	}
	nc.Close()
	return string(answer)
}

// Serves reports whether another connection to the first listener is answered
// while what the test has begun still waits: a GET of target, whose status it
// returns.
func (s *Server) Serves(target string) (status int) {
	s.t.Helper()
	answer := s.Raw("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if _, err := fmt.Sscanf(answer, "HTTP/1.1 %d ", &status); err != nil {
		s.t.Fatalf("%s is not answered: %q", target, answer)
	}
	return status
}

// overlay is the file system with one file in memory.
type overlay struct {
	name    string
	content []byte
}

// ReadFile returns the content of the one file, or a real one's.
func (o overlay) ReadFile(name string) ([]byte, error) {
	if name == o.name {
		return o.content, nil
	}
	return config.OS().ReadFile(name)
}

// Glob matches real files.
func (o overlay) Glob(pattern string) ([]string, error) { return config.OS().Glob(pattern) }
