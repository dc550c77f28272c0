package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// startUnit starts NGINX Unit (FreeUnit) and sends it its configuration, over its control
// socket, which is the only way.
func startUnit(s *site) (*server, error) {
	server, err := newServer(s, "unit")
	if err != nil {
		return nil, err
	}
	path, err := program("unitd")
	if err != nil {
		return nil, err
	}
	control := filepath.Join(server.dir, "control.sock")
	err = server.launch(path, []string{"--no-daemon", "--control", "unix:" + control,
		"--pid", filepath.Join(server.dir, "unit.pid"), "--log", "/dev/stderr",
		"--statedir", server.dir, "--tmpdir", server.dir}, nil)
	if err == nil {
		err = configureUnit(server, s, control)
	}
	return started(server, err)
}

func configureUnit(server *server, s *site, control string) error {
	configuration, err := json.Marshal(unitConfiguration(server, s))
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: startDeadline, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", control)
		},
	}}
	deadline := time.Now().Add(startDeadline)
	for {
		err := putConfiguration(client, configuration)
		if err == nil || time.Now().After(deadline) || server.processes[0].exited() {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func putConfiguration(client *http.Client, configuration []byte) error {
	request, err := http.NewRequest(http.MethodPut, "http://localhost/config", bytes.NewReader(configuration))
	if err != nil {
		return err
	}
	body, err := fetch(client, request)
	if err != nil {
		return fmt.Errorf("unit refuses its configuration: %w: %s", err, body)
	}
	return nil
}

func unitConfiguration(server *server, s *site) map[string]any {
	module, callable, _ := strings.Cut(s.app, ":")
	app := map[string]any{
		"type": "python 3", "path": s.appDir(), "module": module, "callable": callable,
		"processes": s.workers, "threads": s.threads,
	}
	if s.maxRequests > 0 {
		app["limits"] = map[string]any{"requests": s.maxRequests}
	}
	if userLine() != "" {
		app["user"], app["group"] = "root", "root"
	}
	return map[string]any{
		"settings":  map[string]any{"http": map[string]any{"max_body_size": 200 << 20}},
		"listeners": map[string]any{server.addr: map[string]any{"pass": "routes"}},
		"routes": []any{
			map[string]any{
				"match":  map[string]any{"uri": "/static/*"},
				"action": map[string]any{"share": s.dir + "$uri"},
			},
			map[string]any{"action": map[string]any{"pass": "applications/app"}},
		},
		"applications": map[string]any{"app": app},
	}
}

func unitVersion() (string, error) { return versionOf("unitd", "--version") }
