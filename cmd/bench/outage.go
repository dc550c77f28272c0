package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// anyFail allows every request to fail while there is no backend, with 502 or 504.
func anyFail(*chaos, int) int { return 1 << 30 }

// outageOnce has all backends be away at once: killed in turn with stopped. While they
// are, each request is answered with 502 or 504: as soon as a backend's silence is an
// error, and at once where nothing listens. With the backends there again requests succeed within
// fail_timeout. Files are served as ever.
func outageOnce(ctx context.Context, c *chaos, s *server) error {
	g := c.backends
	killed := g.acts.Add(1)%2 == 1
	held := make([]func(), len(g.places))
	for i, p := range g.places {
		err := p.signalAll(syscall.SIGSTOP)
		if killed {
			if err = g.kill(p); err == nil {
				held[i], err = hold(p.address)
			}
		} else if err == nil {
			err = p.standsStill(ctx)
		}
		if err != nil {
			return err
		}
	}
	err := g.away(ctx, s, killed)
	for i, p := range g.places {
		if killed {
			held[i]()
			err = errors.Join(err, g.start(p))
		} else {
			err = errors.Join(err, p.signalAll(syscall.SIGCONT))
		}
	}
	if err != nil {
		return err
	}
	return g.recovers(ctx, s)
}

// standsStill waits until each thread of the backend has stopped: one that runs on another
// processor when the signal comes may answer a request still.
func (p *backendPlace) standsStill(ctx context.Context) error {
	for deadline := time.Now().Add(slack); ; {
		running := 0
		pids, err := proc.tree(p.process.pid())
		if err != nil {
			return err
		}
		for _, pid := range pids {
			stats, _ := filepath.Glob(proc.path(pid, "task/*/stat"))
			for _, path := range stats {
				if text, err := os.ReadFile(path); err == nil && !strings.Contains(string(text), ") T ") && !strings.Contains(string(text), ") Z ") {
					running++
				}
			}
		}
		if running == 0 {
			return nil
		}
		if time.Now().After(deadline) || !sleep(ctx, time.Millisecond) {
			return fmt.Errorf("%d threads of the backend at %s go on after SIGSTOP", running, p.address)
		}
	}
}

// hold takes a port without listening, so that no other program of the machine gets it
// and answers there, until the function that it returns is called.
func hold(address string) (release func(), err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return func() {}, nil // a unix socket, whose name nobody else takes
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot hold %s: %w", address, err)
	}
	return func() { unix.Close(fd) }, nil
}

// slack is how much later than it should an answer may come: the machine is busy.
const slack = 3 * time.Second

// away asks until the outage is over.
func (g *backendGroup) away(ctx context.Context, s *server, killed bool) error {
	most := slack
	if !killed { // each backend may be waited for once
		most += backendCount * backendPatience * time.Second
	}
	asked := 0
	for end := time.Now().Add(g.outage); time.Now().Before(end); asked++ {
		began := time.Now()
		status, err := statusOf(ctx, s.url("/"))
		took := time.Since(began)
		switch {
		case err != nil:
			return fmt.Errorf("without a backend: %w", err)
		case status != http.StatusBadGateway && status != http.StatusGatewayTimeout:
			return fmt.Errorf("without a backend a request had status %d", status)
		case took > most:
			return fmt.Errorf("without a backend a request took %v, %v at most", took, most)
		}
		began = time.Now()
		if status, err = statusOf(ctx, s.url("/static/1k")); err != nil || status != http.StatusOK || time.Since(began) > slack {
			return fmt.Errorf("without a backend a file had status %d, %v, after %v", status, err, time.Since(began))
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	if asked == 0 {
		return errors.New("nothing was asked during the outage")
	}
	return nil
}

// recovers waits for the first answer after an outage.
func (g *backendGroup) recovers(ctx context.Context, s *server) error {
	began := time.Now()
	for {
		status, err := statusOf(ctx, s.url("/"))
		if err == nil && status == http.StatusOK {
			fmt.Printf("recovered after %v\n", time.Since(began).Round(time.Millisecond))
			return nil
		}
		if time.Since(began) > failTimeout+slack {
			return fmt.Errorf("%v after the backends are there again a request had status %d, %v", time.Since(began), status, err)
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// statusOf makes one request on a connection of its own.
func statusOf(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	status, _, err := oneAnswer(request)
	return status, err
}
