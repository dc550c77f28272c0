package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// backendCount is the number of backends in the kind backends.
const backendCount = 3

// backendGroup is gunicorns of one application that a server passes requests on to.
type backendGroup struct {
	site   site // of the gunicorns: workers and threads of each
	places []*backendPlace
}

// backendPlace is where one gunicorn listens. After a kill another one is started there.
type backendPlace struct {
	dir, address string
	process      *process
}

// backendsShape starts the group and has the site's servers pass requests on to it. They
// have no application of their own. gunicorn keeps connections only if it has threads.
func backendsShape(c *chaos, s *site) error {
	g := &c.backends
	g.site = *s
	g.site.threads = max(s.threads, 2)
	s.workers, c.workers = 0, 0
	var servers []string
	for range backendCount {
		dir, err := s.serverDir("backend")
		if err != nil {
			return err
		}
		p := &backendPlace{dir: dir, address: "unix:" + filepath.Join(dir, "backend.sock")}
		if err := g.start(p); err != nil {
			return err
		}
		g.places = append(g.places, p)
		servers = append(servers, p.address)
	}
	s.directives += fmt.Sprintf(upstreamBlock, strings.Join(servers, ";\n    server "))
	s.passes = passLocation
	return nil
}

func (g *backendGroup) start(p *backendPlace) (err error) {
	p.process, err = startGunicornAt(&g.site, p.dir, p.address, "--keep-alive", "5")
	return err
}

// killBackend kills one gunicorn at random, with its workers, and starts another in
// its place.
func killBackend(_ context.Context, c *chaos, _ *server) error {
	p := c.backends.places[c.random.IntN(backendCount)]
	if p.process.exited() {
		return fmt.Errorf("a backend had ended: %v\n%s", p.process.err, p.process.logTail())
	}
	if err := syscall.Kill(-p.process.pid(), syscall.SIGKILL); err != nil {
		return err
	}
	<-p.process.done
	return c.backends.start(p)
}

// stop ends the group.
func (g *backendGroup) stop() (err error) {
	for _, p := range g.places {
		err = errors.Join(err, p.process.stop())
	}
	return err
}
