package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// alicornFile is the configuration of alicorn that corresponds to nginxFile.
const alicornFile = `%[1]spid %[2]s/alicorn.pid;
error_log stderr warn;
%[3]sclient_max_body_size 200m;
client_body_buffer_size 128k;
client_body_temp_path %[2]s/body;
keepalive_timeout 75s;
keepalive_requests 1000000000;
default_type application/octet-stream;
open_file_cache max=1000 inactive=60s;
%[4]sserver {
    listen %[5]s%[6]s;
    access_log off;
    location /static/ {
        alias %[7]s/;
    }
%[8]s}
%[9]s`

// alicornApp is the configuration of the application, and alicornLocation passes requests
// to it.
const alicornApp = `app bench {
    %s %s;
    directory %s;
    python /usr/bin/python3;
    workers %d;
%s}
`

const alicornLocation = `    location / {
        app_pass bench;
    }
`

// alicorn is a program of alicorn: this module's, built once per run, or one
// that was built before.
type alicorn struct {
	name  string   // as a server
	dir   string   // where this module's program is built
	flags []string // of `go build`
	build func() (string, error)
}

// newAlicorn returns this module's alicorn. It is built when it is first needed.
func newAlicorn(dir string) *alicorn {
	a := &alicorn{name: "alicorn", dir: dir}
	a.build = sync.OnceValues(a.buildBinary)
	return a
}

// newBuild returns the alicorn whose program is at path.
func newBuild(name, path string) (*alicorn, error) {
	if name == "" || strings.ContainsAny(name, "/ ") {
		return nil, fmt.Errorf("invalid server name %q: must not be empty or contain a slash", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("cannot take %s as server %q: %w", path, name, err)
	}
	return &alicorn{name: name, build: func() (string, error) { return path, nil }}, nil
}

// peer returns the server of this program.
func (a *alicorn) peer(programs ...string) peer {
	return peer{name: a.name, serves: a.serves, programs: programs, version: a.version, start: a.start}
}

// serves reports whether the program takes part in c: an earlier build may lack the
// directive that c needs. If the program cannot be built, start returns the error.
func (a *alicorn) serves(c benchCase) bool {
	switch {
	case c.asgi:
		return a.knows("asgi")
	case c.backend != "":
		return a.knows(backendNamed(c.backend).directive)
	}
	return true
}

// knows reports whether the program has a directive.
func (a *alicorn) knows(directive string) bool {
	path, err := a.build()
	return err != nil || exec.Command(path, "help", directive).Run() == nil
}

func (a *alicorn) buildBinary() (string, error) {
	path := filepath.Join(a.dir, "alicorn")
	args := slices.Concat([]string{"build", "-o", path}, a.flags, []string{"alicorn/cmd/alicorn"})
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build alicorn: %w\n%s", err, out)
	}
	return path, nil
}

func (a *alicorn) version() (string, error) {
	path, err := a.build()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, "version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot ask alicorn for its version: %w\n%s", err, out)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimPrefix(first, "alicorn version: "), nil
}

// start starts `alicorn run` for the site, with runtime directories of its own.
func (a *alicorn) start(s *site) (*server, error) {
	binary, err := a.build()
	if err != nil {
		return nil, err
	}
	server, err := newServer(s, a.name)
	if err != nil {
		return nil, err
	}
	if s.prepare != nil {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	file, err := server.write("alicorn.conf", a.configuration(s, server))
	if err != nil {
		return nil, err
	}
	verbs := &verbs{binary: binary, file: file, env: runtimeDirectories(server.dir)}
	server.verbs = verbs
	server.reload = func(ctx context.Context) error {
		if err := s.deploy(); err != nil {
			return err
		}
		_, err := verbs.run(ctx, "reload")
		return err
	}
	server.workers = func(ctx context.Context) ([]int, error) {
		return verbs.workers(ctx, server.processes[0].pid())
	}
	server.front = func() ([]int, error) { return frontBelow(server.processes[0].pid()) }
	server.goroutines = verbs.goroutines
	path, args := limited(s.descriptors, binary, "run", "-c", file)
	return started(server, server.launch(path, args, verbs.env))
}

func (a *alicorn) configuration(s *site, server *server) string {
	app, location := "", s.passes
	if location == "" {
		app, location = alicornAppOf(s), alicornLocation
	}
	return fmt.Sprintf(alicornFile, s.mainLines(), server.dir, app, s.sharedDirectives(), server.addr, s.listenOptions(),
		s.staticDir(), s.locations+location, s.apps)
}

// alicornAppOf returns the configuration of the site's application.
func alicornAppOf(s *site) string {
	var more strings.Builder
	kind := "asgi"
	if !s.asgi {
		kind = "wsgi"
		fmt.Fprintf(&more, "    threads %d;\n", s.threads)
	}
	if s.asgi && s.streams > 0 { // any worker may get them all
		fmt.Fprintf(&more, "    concurrency %d;\n", s.streams)
	}
	more.WriteString(s.settings)
	if s.maxRequests > 0 {
		fmt.Fprintf(&more, "    max_requests %d;\n", s.maxRequests)
	}
	if os.Geteuid() == 0 { // the front is root: see userLine
		more.WriteString("    user nobody;\n")
	}
	return fmt.Sprintf(alicornApp, kind, s.app, s.appDir(), s.workers, more.String())
}

// limited returns the command line that runs a program with at most n descriptors; 0: with
// the limit of this process.
func limited(n int, path string, args ...string) (string, []string) {
	if n == 0 {
		return path, args
	}
	return "/bin/sh", append([]string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(n), path}, args...)
}

// pidFile returns the process id in the server's pid file.
func (v *verbs) pidFile() (int, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(v.file), "alicorn.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// runtimeDirectories returns the variables that systemd sets, for directories below dir.
func runtimeDirectories(dir string) []string {
	var env []string
	for _, kind := range []string{"RUNTIME", "STATE", "CACHE", "LOGS"} {
		env = append(env, kind+"_DIRECTORY="+filepath.Join(dir, strings.ToLower(kind)))
	}
	return env
}

// verbs runs alicorn's commands for a running server.
type verbs struct {
	binary, file string
	env          []string
}

// command returns a verb's command line.
func (v *verbs) command(verb string, args ...string) []string {
	return append([]string{v.binary, verb, "-c", v.file}, args...)
}

// run returns what the verb prints, even if it fails.
func (v *verbs) run(ctx context.Context, verb string, args ...string) ([]byte, error) {
	line := v.command(verb, args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), v.env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("alicorn %s: %w\n%s", verb, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// status is the part of `alicorn status --json` that bench reads.
type status struct {
	Generation int `json:"generation"`
	Goroutines int `json:"goroutines"`
	Apps       []struct {
		Name    string `json:"name"`
		Workers []struct {
			PID   int    `json:"pid"`
			State string `json:"state"`
		} `json:"workers"`
	} `json:"apps"`
}

// workers returns the pids of ready workers from the status; if the server does not
// answer, those of the Python processes below root.
func (v *verbs) workers(ctx context.Context, root int) ([]int, error) {
	out, err := v.run(ctx, "status", "--json")
	if err != nil {
		pids, treeErr := pythonsBelow(root)
		if len(pids) == 0 {
			return nil, errors.Join(err, treeErr)
		}
		return pids, nil
	}
	return readyWorkers(out)
}

// goroutines returns the number of the front's goroutines.
func (v *verbs) goroutines(ctx context.Context) (int, error) {
	s, err := v.status(ctx)
	return s.Goroutines, err
}

// status asks the server for its status.
func (v *verbs) status(ctx context.Context) (status, error) {
	out, err := v.run(ctx, "status", "--json")
	if err != nil {
		return status{}, err
	}
	return readStatus(out)
}

func readStatus(text []byte) (s status, err error) {
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("cannot read alicorn's status: %w", err)
	}
	return s, nil
}

// ready returns the pids of each application's ready workers.
func (s status) ready() map[string][]int {
	pids := make(map[string][]int, len(s.Apps))
	for _, app := range s.Apps {
		for _, worker := range app.Workers {
			if worker.State == "ready" || worker.State == "busy" {
				pids[app.Name] = append(pids[app.Name], worker.PID)
			}
		}
		slices.Sort(pids[app.Name])
	}
	return pids
}

func readyWorkers(statusJSON []byte) ([]int, error) {
	s, err := readStatus(statusJSON)
	var pids []int
	for _, own := range s.ready() {
		pids = append(pids, own...)
	}
	slices.Sort(pids)
	return pids, err
}

func pythonsBelow(root int) ([]int, error) { return below(root, true) }

// frontBelow returns root and its descendants that are not Python processes.
func frontBelow(root int) ([]int, error) { return below(root, false) }

func below(root int, python bool) ([]int, error) {
	tree, err := proc.tree(root)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pid := range tree {
		if strings.Contains(proc.command(pid), "python") == python {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
