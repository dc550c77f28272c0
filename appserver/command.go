package appserver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Command is the command line of an application's worker, without the worker's name,
// which is appended to Args. It depends only on the configuration and the environment
// of the process that starts workers.
type Command struct {
	Path     string
	Args     []string // Args[0] included
	Env      []string
	Dir      string
	UID, GID int
	Groups   []int
	tried    string // how the interpreter was found, for messages
	Switch   bool   // run as UID, GID and Groups, not as this process
}

// Command returns the app's Command. The first call may run pipenv, for at most 15
// seconds.
func (a *App) Command() (Command, error) {
	a.asking.Lock()
	defer a.asking.Unlock()
	if a.interpreter.Pipenv {
		in, err := a.askPipenv()
		if err != nil {
			return Command{}, fmt.Errorf("app %q: %w", a.Name, err)
		}
		in.Pipenv = false
		a.interpreter = in
	}
	in := a.interpreter
	c := a.credentials
	return Command{
		Path: in.Path, tried: in.describe(), Args: []string{in.Path, bundlePath, "worker"},
		Env: a.environment(in), Dir: a.Directory,
		UID: c.UID, GID: c.GID, Groups: c.Groups, Switch: c.Switch,
	}, nil
}

func (c credentials) syscall() *syscall.Credential {
	return Command{UID: c.UID, GID: c.GID, Groups: c.Groups}.credential()
}

func (c Command) credential() *syscall.Credential {
	groups := make([]uint32, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = uint32(g)
	}
	return &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID), Groups: groups}
}

// environment returns the environment of a worker: inherited variables, those of the
// virtual environment, those of the user, and those of env and env_file. Later values
// win.
func (a *App) environment(in interpreter) []string {
	vars := map[string]string{}
	var order []string
	set := func(name, value string) {
		if _, known := vars[name]; !known {
			order = append(order, name)
		}
		vars[name] = value
	}
	for _, e := range inherited(a.rt.environ(), a.credentials.root) {
		name, value, _ := strings.Cut(e, "=")
		if !slices.Contains(a.unset, name) {
			set(name, value)
		}
	}
	set("PYTHONUNBUFFERED", "1")
	if in.Env != "" {
		set("VIRTUAL_ENV", in.Env)
		set("PATH", filepath.Join(in.Env, "bin")+":"+vars["PATH"])
	}
	if c := a.credentials; c.root {
		set("HOME", c.Home)
		set("USER", c.Name)
		set("LOGNAME", c.Name)
	}
	for _, e := range a.env {
		name, value, _ := strings.Cut(e, "=")
		set(name, value)
	}
	env := make([]string, len(order))
	for i, name := range order {
		env[i] = name + "=" + vars[name]
	}
	return env
}
