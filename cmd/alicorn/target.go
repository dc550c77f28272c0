package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"alicorn/cmd/alicorn/control"
	"alicorn/config/osfile"
)

// target finds the running server that a verb means: the one of --pid, the one of -c, the
// one of the default configuration when it runs, or the only one there is. When a
// server runs but cannot be asked that is an error; target does not choose another one.
func target(ctx context.Context, o options) (*control.Client, error) {
	dirs := runFolders()
	if err := control.Trust(dirs[0]); err != nil {
		return nil, err
	}
	if o.pidFile != "" {
		return withPID(ctx, dirs, o.pidFile)
	}
	for _, dir := range dirs {
		c := control.NewClient(control.SocketPath(dir, o.file()))
		_, err := c.Status(ctx)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, control.ErrNotRunning) {
			return nil, err
		}
	}
	if o.config != "" {
		c, err := named(ctx, dirs, o)
		if why := lastStart(dirs, o.file()); errors.Is(err, control.ErrNotRunning) && why != "" {
			err = fmt.Errorf("%w%s", err, why)
		}
		return c, err
	}
	all, others := serversIn(ctx, dirs)
	silent := slices.ContainsFunc(others, func(err error) bool { return !errors.Is(err, fs.ErrPermission) })
	switch {
	case len(all) > 1:
		return nil, several(ctx, all)
	case len(all) == 1 && !silent:
		return all[0], nil
	case len(others) > 0:
		return nil, errors.Join(others...)
	}
	return nil, fmt.Errorf("no alicorn is running, as far as %s%s", shown(dirs), lastStart(dirs, o.file()))
}

// runFolders returns the folders with the control sockets of servers that a verb may
// mean: for a user who cannot write to the system's folder the user's own, and then the
// system's.
func runFolders() []string {
	own, system := findFolders().run, "/run/alicorn"
	if named := os.Getenv("RUNTIME_DIRECTORY"); named != "" {
		system = filepath.SplitList(named)[0]
	}
	if own == system || control.Trust(system) != nil {
		return []string{own}
	}
	return []string{own, system}
}

// serversIn returns the results of control.Running for all dirs.
func serversIn(ctx context.Context, dirs []string) (answering []*control.Client, others []error) {
	for _, dir := range dirs {
		a, o := control.Running(ctx, dir)
		answering, others = append(answering, a...), append(others, o...)
	}
	return answering, others
}

// named finds the running server that -c names, such as one of serve, whose configuration is in
// no file.
func named(ctx context.Context, dirs []string, o options) (*control.Client, error) {
	missing := fmt.Errorf("%w, as far as %s%s", control.ErrNotRunning, shown(dirs), elsewhere(dirs, o.file()))
	return among(ctx, dirs, func(st control.Status) bool { return st.Config == o.config }, missing)
}

// withPID finds the running server whose process id is in the pid file.
func withPID(ctx context.Context, dirs []string, file string) (*control.Client, error) {
	pid, err := readPID(file)
	if err != nil {
		return nil, err
	}
	missing := fmt.Errorf("no alicorn with pid %d, which %s names, is running, as far as %s", pid, file, shown(dirs))
	return among(ctx, dirs, func(st control.Status) bool { return st.PID == pid }, missing)
}

// among finds the running server that meant accepts. Without one it returns the error
// missing, together with the servers that cannot be asked, which may be the one.
func among(ctx context.Context, dirs []string, meant func(control.Status) bool, missing error) (*control.Client, error) {
	all, others := serversIn(ctx, dirs)
	for _, c := range all {
		if st, err := c.Status(ctx); err == nil && meant(st) {
			return c, nil
		}
	}
	return nil, errors.Join(append([]error{missing}, others...)...)
}

// shown returns "DIR shows", or "DIR and DIR show".
func shown(dirs []string) string {
	verb := " shows"
	if len(dirs) > 1 {
		verb = " show"
	}
	return strings.Join(dirs, " and ") + verb
}

// elsewhere returns a text about sockets with the name of that configuration's that are in other folders
// than dirs, or "". They are not asked: any user may have made them.
func elsewhere(dirs []string, name string) string {
	list, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(list)) {
		_, path, found := strings.Cut(strings.TrimSuffix(line, "\n"), " /")
		dir := filepath.Dir(filepath.Dir("/" + path)) // servers make the socket in a folder within, and move it
		if !found || slices.Contains(dirs, dir) {
			continue
		}
		path = control.SocketPath(dir, name)
		st, err := os.Lstat(path)
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			return fmt.Sprintf("; user %q has a socket of that name, %q: the verb as that user, or with RUNTIME_DIRECTORY=%q, asks it", osfile.User{UID: int(sys.Uid)}.Name(), path, dir)
		}
	}
	return ""
}

func several(ctx context.Context, all []*control.Client) error {
	var b strings.Builder
	b.WriteString("several servers are running; choose one with -c FILE, or with one of these names:")
	for _, c := range all {
		if st, err := c.Status(ctx); err == nil {
			name := st.Config
			if strings.ContainsAny(name, " \t\"'$\\") {
				name = strconv.Quote(name)
			}
			fmt.Fprintf(&b, "\n  -c %s (pid %d)", name, st.PID)
		}
	}
	return errors.New(b.String())
}
