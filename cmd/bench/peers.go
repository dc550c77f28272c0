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

// python is Debian's interpreter, which has all applications and servers.
const python = "/usr/bin/python3"

// pairNames are the servers that the others' results are compared with.
var pairNames = []string{"nginx", "nginx+gunicorn", "nginx+uwsgi", "nginx+uvicorn", "nginx+gunicorn+uvicorn", "uvicorn"}

// allPeers returns every kind of server, alicorn first.
func allPeers(a *alicorn) []peer {
	applications := func(c benchCase) bool { return !c.frontAlone() && !c.asgi }
	asgi := func(c benchCase) bool { return c.asgi && !c.tls }
	own := func(c benchCase) bool { return !c.tls && c.backend == "" }
	return []peer{
		a.peer("go"),
		{name: "nginx", serves: benchCase.frontAlone, programs: []string{"nginx"},
			version: nginxVersion, start: startNginx},
		{name: "nginx+gunicorn", serves: applications, programs: []string{"nginx", "gunicorn"},
			version: gunicornVersion, start: startGunicorn},
		{name: "nginx+uwsgi", serves: applications, programs: []string{"nginx", "uwsgi"},
			version: uwsgiVersion, start: startUwsgi},
		{name: "nginx+uvicorn", serves: asgi, programs: []string{"nginx", "uvicorn"},
			version: uvicornVersion, start: startNginxUvicorn},
		{name: "nginx+gunicorn+uvicorn", serves: asgi, programs: []string{"nginx", "gunicorn", "uvicorn"},
			version: gunicornUvicornVersion, start: startGunicornUvicorn},
		{name: "uvicorn", serves: asgi, programs: []string{"uvicorn"}, version: uvicornVersion, start: startUvicorn},
		{name: "hypercorn", serves: asgi, module: "hypercorn", version: hypercornVersion, start: startHypercorn},
		{name: "daphne", serves: asgi, module: "daphne", version: daphneVersion, start: startDaphne},
		{name: "unit", serves: own, programs: []string{"unitd"}, version: unitVersion, start: startUnit},
	}
}

// choosePeers returns the named peers, which must be installed; for an empty list
// those that are, and the names of those that are not. An item NAME=PATH is the
// alicorn whose program is at PATH; a list of nothing else is led by this module's.
func choosePeers(a *alicorn, list string) (chosen []peer, missing []string, err error) {
	all := allPeers(a)
	onlyBuilds := list != ""
	for _, item := range fields(list) {
		p, err := peerOf(all, item)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(chosen, func(c peer) bool { return c.name == p.name }) {
			return nil, nil, fmt.Errorf("server %q is named twice", p.name)
		}
		chosen = append(chosen, p)
		onlyBuilds = onlyBuilds && p.build
	}
	if onlyBuilds && !slices.ContainsFunc(chosen, func(p peer) bool { return p.name == a.name }) {
		chosen = slices.Insert(chosen, 0, all[0])
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

// peerOf returns the peer that an item of -servers names.
func peerOf(all []peer, item string) (peer, error) {
	index := func(name string) int { return slices.IndexFunc(all, func(p peer) bool { return p.name == name }) }
	if name, path, ok := strings.Cut(item, "="); ok {
		if index(name) > 0 {
			return peer{}, fmt.Errorf("invalid server %q: %s is another server's name", item, name)
		}
		build, err := newBuild(name, path)
		if err != nil {
			return peer{}, err
		}
		p := build.peer()
		p.build = true
		return p, nil
	}
	if index(item) < 0 {
		return peer{}, fmt.Errorf("unknown server %q; there are %s, and NAME=PATH for another alicorn", item,
			names(all, func(p peer) string { return p.name }))
	}
	p := all[index(item)]
	return p, p.installed()
}

// installed returns nil if every program of the peer is there.
func (p peer) installed() error {
	for _, name := range p.programs {
		if _, err := program(name); err != nil {
			return fmt.Errorf("%s: %w: %s; deploy/test.sh installs Debian's servers", p.name, errNotInstalled, name)
		}
	}
	if p.module != "" && exec.Command(python, "-c", "import "+p.module).Run() != nil {
		return fmt.Errorf("%s: %w: Python's %s; deploy/test.sh installs Debian's servers", p.name, errNotInstalled, p.module)
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
