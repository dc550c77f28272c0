package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// pairHostileFile is hostileFile for nginx in front of two gunicorns.
const pairHostileFile = `    limit_req_zone $server_port zone=hostile:1m rate=100r/s;
    limit_req_log_level info;
    server {
        listen %[1]s;
        location / { proxy_pass http://unix:%[2]s; }
    }
    server {
        listen %[3]s ssl backlog=1024;
        ssl_certificate %[4]s;
        ssl_certificate_key %[5]s;
        location /static/ { alias %[6]s/; }
        location / { proxy_pass http://unix:%[7]s; }
    }
    server {
        listen %[8]s backlog=1024;
        location /limited { limit_req zone=hostile burst=40; proxy_pass http://unix:%[7]s; }
        location ~ ^/(?!static/)(.*/)*internal/ { return 403; }
        location / { return 204; }
    }
`

// withPair starts nginx in front of gunicorn, with the applications, files and limits that
// alicorn has, and calls f with what there is to attack of it.
func (h *hostile) withPair(ctx context.Context, f func(target) error) error {
	site, err := newSite()
	if err != nil {
		return err
	}
	defer os.RemoveAll(site.dir)
	var t target
	id, err := h.shapeAddresses(site, &t)
	if err != nil {
		return err
	}
	s, err := startHostilePair(site, &t, id)
	if err != nil {
		return err
	}
	if err := s.ready(ctx, ordinaryPage); err != nil {
		return errors.Join(err, s.stop())
	}
	return errors.Join(f(t), s.stop())
}

// startHostilePair starts nginx and both gunicorns. As root the hostile one's workers have a
// user of their own, as under alicorn.
func startHostilePair(s *site, t *target, id *identity) (*server, error) {
	server, err := newServer(s, "nginx+gunicorn")
	if err != nil {
		return nil, err
	}
	ordinary, hostile := filepath.Join(server.dir, "app.sock"), filepath.Join(server.dir, "hostile.sock")
	s.directives = fmt.Sprintf(pairHostileFile, t.Hostile, hostile, t.Secure, id.cert, id.key, s.staticDir(), ordinary, t.Limited)
	if err := server.launchNginx(s, fmt.Sprintf(gunicornLocation, ordinary)); err != nil {
		return started(server, err)
	}
	t.Ordinary = server.addr
	t.Reload, t.Status = []string{"kill", "-HUP", strconv.Itoa(server.processes[0].pid())}, []string{"true"}
	path, err := program("gunicorn")
	if err != nil {
		return started(server, err)
	}
	if err := server.launch(path, gunicornArgs(s, "unix:"+ordinary), nil); err != nil {
		return started(server, err)
	}
	attacker := *s
	attacker.app, attacker.threads = "hostile:app", 1
	args := append([]string{"--timeout", "2"}, gunicornArgs(&attacker, "unix:"+hostile)...)
	if os.Geteuid() == 0 {
		args = append([]string{"--user", "daemon"}, args...)
	}
	return started(server, server.launch(path, args, nil))
}
