package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// backendCount is how many backends there are where some are disturbed.
const backendCount = 3

// backendGroup is servers of one kind and application that a server passes requests on
// to.
type backendGroup struct {
	kind    backendKind
	site    site   // as their own: how many workers each has
	program string // of kind go
	places  []*backendPlace
	acts    atomic.Int64
	outage  time.Duration // kind outage: how long no backend answers
	breaks  atomic.Int64  // WebSockets that have ended early
}

// backendPlace is where one backend listens. One that has ended is started there anew.
type backendPlace struct {
	dir, address string
	process      *process
}

// groupBlock is the upstream of the group. A backend that failed is asked again soon. It
// keeps few connections: those are not left over.
const groupBlock = `upstream backend {
    server %s;
    keepalive 4;
}
map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
}
`

// failTimeout is how soon a backend that failed is asked again.
const failTimeout = time.Second

// backendsShape has the site's servers pass requests on to a group, and have no
// application of their own.
func backendsShape(c *chaos, s *site) error {
	g := c.backends
	g.site = *s
	s.workers, c.workers = 0, 0
	if g.kind.shape != nil {
		if err := g.kind.shape(g); err != nil {
			return err
		}
	}
	var servers []string
	for range backendCount {
		dir, err := s.serverDir("backend")
		if err != nil {
			return err
		}
		p := &backendPlace{dir: dir, address: "unix:" + filepath.Join(dir, "backend.sock")}
		if g.kind.port {
			if p.address, err = s.steadyAddress(); err != nil {
				return err
			}
		}
		g.places = append(g.places, p)
		if err := g.start(p); err != nil {
			return err
		}
		servers = append(servers, fmt.Sprintf("%s fail_timeout=%ds", p.address, int(failTimeout.Seconds())))
	}
	s.directives += fmt.Sprintf(groupBlock, strings.Join(servers, ";\n    server "))
	s.passes = g.kind.location
	if strings.Contains(s.passes, "%s") {
		s.passes = fmt.Sprintf(s.passes, s.appDir())
	}
	return nil
}

// steadyAddress returns a loopback address on whose port a server may be started again
// and again: the system gives it to no client meanwhile.
func (s *site) steadyAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := net.Listen("tcp4", address)
		if err != nil || s.given[address] {
			continue
		}
		s.given[address] = true
		return address, l.Close()
	}
	return "", errors.New("no port is free")
}

// start starts a backend at its place, and waits until it listens.
func (g *backendGroup) start(p *backendPlace) (err error) {
	network, address := "tcp", p.address
	if strings.HasPrefix(address, "unix:") {
		network, address = "unix", p.pathOf()
		if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if p.process, err = g.kind.start(g, p); err != nil {
		return err
	}
	for deadline := time.Now().Add(startDeadline); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			return conn.Close()
		}
		if p.process.exited() || time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen at %s: %w\n%s", g.kind.name, p.address, err, p.process.logTail())
		}
	}
}

// disturbBackend harms one backend at random: it is killed with its workers and started
// anew, stopped for longer than servers wait for it, or ended as an operator does it,
// and started anew.
func disturbBackend(ctx context.Context, c *chaos, _ *server) error {
	g := c.backends
	p := g.places[c.random.IntN(backendCount)]
	if p.process.exited() {
		return fmt.Errorf("a backend had ended: %v\n%s", p.process.err, p.process.logTail())
	}
	switch g.acts.Add(1) % 3 {
	case 1:
		if err := g.kill(p); err != nil {
			return err
		}
	case 2:
		err := p.signalAll(syscall.SIGSTOP)
		sleep(ctx, (backendPatience+1)*time.Second)
		return errors.Join(err, p.signalAll(syscall.SIGCONT))
	default:
		if err := p.process.stop(); err != nil {
			return err
		}
	}
	return g.start(p)
}

// signalAll sends a signal to a backend and its workers.
func (p *backendPlace) signalAll(sig syscall.Signal) error {
	return syscall.Kill(-p.process.pid(), sig)
}

// kill kills a backend with its workers.
func (g *backendGroup) kill(p *backendPlace) error {
	if err := p.signalAll(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.process.done
	return nil
}

// stop ends the group.
func (g *backendGroup) stop() (err error) {
	for _, p := range g.places {
		if p.process != nil {
			err = errors.Join(err, p.process.stop())
		}
	}
	g.places = nil
	return err
}

// besideBackends has WebSockets come and go where the backends take them. Each must be
// opened; those of a backend that is harmed end.
func besideBackends(ctx context.Context, c *chaos, s *server) error {
	if !c.backends.kind.sockets {
		return nil
	}
	var opened faults
	const beside = 4
	done := make(chan struct{}, beside)
	for n := range beside {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				w, err := openWebSocket(n, s.addr, "/")
				opened.add(err)
				if err != nil {
					return
				}
				if err := echoFor(ctx, w); err != nil {
					c.backends.breaks.Add(1)
				}
				w.conn.Close()
			}
		}()
	}
	for range beside {
		<-done
	}
	fmt.Printf("WebSockets that have ended early: %d\n", c.backends.breaks.Load())
	err := opened.verdict("WebSockets")
	if most := beside * (c.backends.acts.Load() + 1); c.backends.breaks.Load() > most {
		err = errors.Join(err, fmt.Errorf("%w: %d WebSockets have ended early, %d may", errBroken, c.backends.breaks.Load(), most))
	}
	return err
}

// echoFor sends a few messages, each of which must come back.
func echoFor(ctx context.Context, w *webSocket) error {
	for range 20 {
		if err := w.echo(opText, []byte("message")); err != nil || !sleep(ctx, 10*time.Millisecond) {
			return err
		}
	}
	return nil
}
