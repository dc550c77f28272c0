package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// backendKind is a real server that requests are passed on to while it is killed,
// stopped and started anew.
type backendKind struct {
	name string
	// port says that it listens on a port, not on a unix socket.
	port bool
	// start starts one at a place.
	start func(g *backendGroup, p *backendPlace) (*process, error)
	// location passes requests on to the group.
	location string
	// sockets says that it takes WebSockets, too.
	sockets bool
	// shape, if not nil, prepares the group.
	shape func(g *backendGroup) error
}

// backendPatience is how long a server waits for a backend, in seconds: short, so that
// one that is stopped costs its clients little.
const backendPatience = 2

// patiently adds to a location that its directives wait for a backend only so long.
func patiently(location, family string, more ...string) string {
	lines := append(more, fmt.Sprintf("%s_read_timeout %ds;", family, backendPatience), fmt.Sprintf("%s_connect_timeout %ds;", family, backendPatience))
	return strings.Replace(location, "{\n", "{\n        "+strings.Join(lines, "\n        ")+"\n", 1)
}

// socketsLocation passes WebSockets on, too.
func socketsLocation() string {
	location := strings.Replace(passLocation, `Connection "";`, "Connection $connection_upgrade;", 1)
	return patiently(location, "proxy", "proxy_set_header Upgrade $http_upgrade;")
}

// phpLocation passes requests on to php-fpm, over connections that are kept. The path is
// filled in later.
func phpLocation() string {
	return patiently(gatewayLocation("fastcgi", "backend"), "fastcgi", "fastcgi_param SCRIPT_FILENAME %s/pid.php;", "fastcgi_keep_conn on;")
}

// backendKinds returns every kind, in the order of the help.
func backendKinds() []backendKind {
	gunicorn := func(threads int) func(*backendGroup, *backendPlace) (*process, error) {
		return func(g *backendGroup, p *backendPlace) (*process, error) {
			own := g.site
			own.threads = threads
			return startGunicornAt(&own, p.dir, p.address, "--keep-alive", "5")
		}
	}
	http := patiently(passLocation, "proxy")
	return []backendKind{
		{name: "gunicorn", start: gunicorn(2), location: http},
		{name: "gunicorn-sync", start: gunicorn(1), location: http},
		{name: "uvicorn", start: startGroupUvicorn, location: socketsLocation(), sockets: true},
		{name: "uwsgi", start: startGroupUwsgi, location: patiently(gatewayLocation("uwsgi", "backend"), "uwsgi")},
		{name: "php-fpm", start: startGroupPHP, location: phpLocation()},
		{name: "go", port: true, start: startGroupGo, location: http, shape: buildGroupGo},
		{name: "node", port: true, start: startGroupNode, location: http},
	}
}

// chooseBackends returns the named kinds; for an empty list all.
func chooseBackends(list string) (chosen []backendKind, err error) {
	all := backendKinds()
	for _, name := range fields(list) {
		i := slices.IndexFunc(all, func(k backendKind) bool { return k.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown backend %q; there are %s", name, names(all, func(k backendKind) string { return k.name }))
		}
		chosen = append(chosen, all[i])
	}
	if len(chosen) == 0 {
		chosen = all
	}
	return chosen, nil
}

// pathOf returns the unix socket's path, or the port, of a place.
func (p *backendPlace) pathOf() string {
	if path, ok := strings.CutPrefix(p.address, "unix:"); ok {
		return path
	}
	return p.address[strings.LastIndexByte(p.address, ':')+1:]
}

// startProgramAt starts an installed program in the place's directory.
func startProgramAt(p *backendPlace, name string, args ...string) (*process, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	return startProcess(p.dir, path, args, nil)
}

func startGroupUvicorn(g *backendGroup, p *backendPlace) (*process, error) {
	own := g.site
	own.app, own.workers = asgiChaosApp, 1
	return startProgramAt(p, "uvicorn", uvicornArgs(&own, "--uds", p.pathOf())...)
}

func startGroupUwsgi(g *backendGroup, p *backendPlace) (*process, error) {
	return startProgramAt(p, "uwsgi", "--master", "--plugin", "python3", "--socket", p.pathOf(), "--processes", strconv.Itoa(g.site.workers),
		"--threads", "2", "--chdir", g.site.appDir(), "--module", slowApp, "--need-app", "--die-on-term", "--disable-logging")
}

func startGroupGo(g *backendGroup, p *backendPlace) (*process, error) {
	return startProcess(p.dir, g.program, []string{p.address}, nil)
}

func startGroupNode(g *backendGroup, p *backendPlace) (*process, error) {
	return startProgramAt(p, "node", filepath.Join(g.site.appDir(), "server.mjs"), p.pathOf())
}

// buildGroupGo builds the server in Go.
func buildGroupGo(g *backendGroup) error {
	dir, err := os.MkdirTemp(g.site.dir, "go")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(g.site.appDir(), "server.go.txt"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "main.go"), text, 0o644)
	}
	if err != nil {
		return err
	}
	g.program = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", g.program, "main.go")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the server in Go: %w\n%s", err, out)
	}
	return os.Chmod(dir, 0o755)
}

// startGroupPHP starts php-fpm with one pool.
func startGroupPHP(g *backendGroup, p *backendPlace) (*process, error) {
	found, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("php-fpm: %w; deploy/test.sh installs it", errNotInstalled)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user = nobody\ngroup = nogroup\n"
	}
	file := filepath.Join(p.dir, "fpm.conf")
	text := fmt.Sprintf("[global]\nerror_log = %s/fpm.log\nlog_level = warning\n[www]\n%slisten = %s\nlisten.mode = 0666\npm = static\npm.max_children = %d\n", p.dir, user, p.pathOf(), 2*g.site.workers)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return startProcess(p.dir, found[0], []string{"--nodaemonize", "--fpm-config", file}, nil)
}
