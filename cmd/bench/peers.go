package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// errNotInstalled is why a peer takes no part when all are asked for.
var errNotInstalled = errors.New("not installed")

// pairNames are the servers that the others' results are compared with.
var pairNames = []string{"nginx", "nginx+gunicorn", "nginx+uwsgi"}

// allPeers returns every kind of server, alicorn first.
func allPeers(a *alicorn) []peer {
	applications := func(c benchCase) bool { return !c.isStatic() }
	all := func(benchCase) bool { return true }
	plain := func(c benchCase) bool { return !c.tls }
	return []peer{
		{name: "alicorn", serves: all, programs: []string{"go"}, version: a.version, start: a.start},
		{name: "nginx", serves: benchCase.isStatic, programs: []string{"nginx"},
			version: nginxVersion, start: startNginx},
		{name: "nginx+gunicorn", serves: applications, programs: []string{"nginx", "gunicorn"},
			version: gunicornVersion, start: startGunicorn},
		{name: "nginx+uwsgi", serves: applications, programs: []string{"nginx", "uwsgi"},
			version: uwsgiVersion, start: startUwsgi},
		{name: "unit", serves: plain, programs: []string{"unitd"}, version: unitVersion, start: startUnit},
	}
}

// choosePeers returns the named peers, which must be installed; for an empty list
// those that are, and the names of those that are not.
func choosePeers(a *alicorn, list string) (chosen []peer, missing []string, err error) {
	all := allPeers(a)
	for _, name := range fields(list) {
		i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("unknown server %q; there are %s", name, names(all, func(p peer) string { return p.name }))
		}
		if err := all[i].installed(); err != nil {
			return nil, nil, err
		}
		chosen = append(chosen, all[i])
	}
	if list != "" {
		return chosen, nil, nil
	}
	for _, p := range all {
		if p.installed() != nil {
			missing = append(missing, p.name)
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen, missing, nil
}

// installed returns nil if every program of the peer is there.
func (p peer) installed() error {
	for _, name := range p.programs {
		if _, err := program(name); err != nil {
			return fmt.Errorf("%s: %w: %s; deploy/test.sh installs Debian's servers", p.name, errNotInstalled, name)
		}
	}
	return nil
}

// versionOf returns the line of a program's --version output that holds a digit.
func versionOf(name string, args ...string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot ask %s for its version: %w", path, err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.ContainsAny(line, "0123456789") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("cannot find a version in %q of %s", out, path)
}
