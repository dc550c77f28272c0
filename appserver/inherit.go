package appserver

import (
	"os"
	"slices"
	"strings"
)

// Variables about the server's process, which workers never inherit.
var (
	ownVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "PYTHONHOME", "VIRTUAL_ENV"}
	ownPrefixes  = []string{"ALICORN_", "LISTEN_"}
)

// Variables of root's session, and of the service's own folders. They would lead
// workers of other users to files that these cannot read, or disclose root's data.
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

// inherited returns the variables of environ that a worker inherits. root says that the server
// runs as root: then the worker inherits nothing of root's session.
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
