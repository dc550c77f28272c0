package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// upgradeServer is a server that clients reach by TLS and by a unix socket.
const upgradeServer = `server {
    listen %[1]s ssl;
    listen unix:%[2]s;
    access_log off;
    ssl_certificate %[3]s;
    ssl_certificate_key %[4]s;
    location / { app_pass bench; }
}
`

// upgradeShape has the server listen by TCP, TLS and a unix socket, and the load use all
// three.
func upgradeShape(c *chaos, s *site) error {
	secure, err := s.freeAddress()
	if err != nil {
		return err
	}
	id, err := newIdentity(s.dir)
	if err != nil {
		return err
	}
	socket := filepath.Join(s.dir, "web.sock")
	s.apps = fmt.Sprintf(upgradeServer, secure, socket, id.cert, id.key)
	c.routes = []route{{name: "TCP", network: "tcp"}, {name: "TLS", network: "tcp", addr: secure, tls: id.trust()}, {name: "unix socket", network: "unix", addr: socket}}
	return nil
}

// identified is a process: no other has the same id and the same start.
type identified struct {
	pid   int
	start string
}

// upgradeOnce has a new program take over, and waits until the old one has ended and the
// new one's workers are ready.
func upgradeOnce(ctx context.Context, c *chaos, s *server) error {
	old := s.processes[0]
	tree, err := proc.tree(old.pid())
	if err != nil {
		return err
	}
	for _, pid := range tree {
		c.earlier = append(c.earlier, identified{pid, proc.startOf(pid)})
	}
	if err := old.signal(syscall.SIGUSR2); err != nil {
		return err
	}
	select {
	case <-old.done:
	case <-ctx.Done():
		return fmt.Errorf("%d has not handed over to a new program: %w", old.pid(), ctx.Err())
	}
	pid, err := s.verbs.pidFile()
	if err != nil {
		return err
	}
	if pid == old.pid() {
		return fmt.Errorf("%d has ended without handing over to a new program", pid)
	}
	if s.processes[0], err = old.follow(pid); err != nil {
		return err
	}
	return s.awaitWorkers(ctx, c.workers)
}

// earlierGone waits until no process of an earlier program is left.
func earlierGone(ctx context.Context, c *chaos, _ *server) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		var left []string
		for _, p := range c.earlier {
			if p.start != "" && proc.startOf(p.pid) == p.start && !proc.ended(p.pid) {
				left = append(left, fmt.Sprintf("%d %q", p.pid, proc.command(p.pid)))
			}
		}
		if len(left) == 0 {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%w: processes of earlier programs are left: %s", errBroken, strings.Join(left, ", "))
		}
	}
}
