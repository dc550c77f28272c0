package appserver

import (
	"os"
	"slices"
	"strings"
)

// Variables that mean the server's process, never a worker.
var (
	ownVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "PYTHONHOME", "VIRTUAL_ENV"}
	ownPrefixes  = []string{"ALICORN_", "LISTEN_"}
)

// Variables of a root user's session, and of the service's own folders. Where
// workers are other users they would lead them to files that they cannot read,
// or tell them what is root's.
var (
	sessionVariables = []string{
		"HOME", "USER", "LOGNAME", "USERNAME", "MAIL", "SHELL", "SHLVL", "PWD", "OLDPWD", "_", "TERM", "COLORTERM", "TERMCAP",
		"HISTFILE", "LS_COLORS", "LSCOLORS", "LESSOPEN", "LESSCLOSE", "PAGER", "EDITOR", "VISUAL", "BASH_ENV", "ENV", "PROMPT_COMMAND", "PS1",
		"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "SESSION_MANAGER", "WINDOWID", "TMUX", "TMUX_PANE", "STY", "DOAS_USER", "PKEXEC_UID",
		"KRB5CCNAME", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY",
		"CONFIGURATION_DIRECTORY", "JOURNAL_STREAM", "MANAGERPID", "SYSTEMD_EXEC_PID",
	}
	sessionPrefixes = []string{"SUDO_", "SSH_", "XDG_", "DBUS_", "GPG_", "BASH_FUNC_", "MEMORY_PRESSURE_"}
)

// environ returns what workers may inherit.
func (rt *Runtime) environ() []string {
	if rt.o.Environ != nil {
		return rt.o.Environ
	}
	return os.Environ()
}

// inherited returns what a worker gets of environ. root: the server is root,
// and its session is none of the worker's.
func inherited(environ []string, root bool) []string {
	var kept []string
	for _, e := range environ {
		name, _, ok := strings.Cut(e, "=")
		if !ok || belongs(name, ownVariables, ownPrefixes) || root && belongs(name, sessionVariables, sessionPrefixes) {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

func belongs(name string, names, prefixes []string) bool {
	return slices.Contains(names, name) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
