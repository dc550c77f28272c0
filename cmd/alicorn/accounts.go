package main

import (
	"os"
	"slices"
	"strings"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
)

// identity returns the user that the front runs as.
func (c *processSettings) identity() keeper.Identity {
	if c.User.Name == "" {
		return keeper.DefaultIdentity()
	}
	return c.User
}

// front is the same, as applications have to know it: none may share it.
func (c *processSettings) front() *appserver.Front {
	if c.OneProcess {
		return &appserver.Front{Name: "root", Pos: c.OnePos}
	}
	id := c.identity()
	return &appserver.Front{UID: id.UID, Name: id.Name, Pos: c.UserPos}
}

// note has "check -v" name the user that the front runs as.
func (c *processSettings) note(l *config.Load, file string) {
	if os.Geteuid() != 0 || c.OneProcess {
		return
	}
	pos := c.UserPos
	if pos == (config.Pos{}) {
		pos = config.Pos{File: file, Line: 1, Col: 1}
	}
	l.Note(pos, "the process that speaks to clients runs as user %q when the server is started as root", c.identity().Name)
}

// fronts returns the users that the front may run as: the configuration's, and
// the one it was started as, which a reload does not change.
func (p *program) fronts(proc process) func(main *config.Scope) []appserver.Front {
	return func(main *config.Scope) []appserver.Front {
		all := []appserver.Front{*proc.settings(main).front()}
		if p.running != nil && p.running.UID != all[0].UID {
			all = append(all, *p.running)
		}
		return all
	}
}

// givenEnv tells the processes that follow this one, after an upgrade, that
// the environment was made for the server.
const givenEnv = "ALICORN_ENVIRONMENT"

// environ returns the variables that workers inherit when the server is root. nil
// means all except those of root's session and of the server itself: the
// environment of a service manager, a container, or a "serve" with variables
// before it is meant for the applications. That of a root shell is not.
func (p *program) environ() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	if p.single || isGiven() {
		os.Setenv(givenEnv, "1")
		return nil
	}
	out := []string{}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if slices.Contains([]string{"PATH", "LANG", "LANGUAGE", "TZ"}, name) || strings.HasPrefix(name, "LC_") {
			out = append(out, e)
		}
	}
	return out
}

// isGiven reports whether a service manager or a container has started this
// process, or the one that it takes over from.
func isGiven() bool {
	if os.Getppid() <= 1 { // 0: from outside the container
		return true
	}
	return slices.ContainsFunc([]string{givenEnv, initEnv, "INVOCATION_ID", "NOTIFY_SOCKET", "SUPERVISOR_ENABLED"}, func(name string) bool { return os.Getenv(name) != "" })
}
