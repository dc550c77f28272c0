package appserver

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// User returns the number of the user that workers of an app run as in a server that was
// started as root. directory and name are the app's directory and user; name "": none.
func User(directory, name string) (uid int, err error) {
	c := credentials{user: name}
	err = c.choose(directory, nil)
	return c.UID, err
}

// Member reports whether the user of User is in the group.
func Member(directory, name, group string) (bool, error) {
	c := credentials{user: name}
	if err := c.choose(directory, nil); err != nil {
		return false, err
	}
	own := append([]int{c.GID}, c.Groups...)
	if err := c.resolve(c.Name, group); err != nil {
		return false, err
	}
	return slices.Contains(own, c.GID), nil
}

// Identity is the user, the interpreter and the environment for a Python process: those
// of workers of an app with these settings.
type Identity struct {
	Directory   string
	User, Group string   // "": none was named
	Beside      []string // folders that are searched for an environment after Directory
}

// Python returns a command that runs the identity's interpreter with args. In a process
// that is not root it runs with that process's rights.
func (id Identity) Python(ctx context.Context, args ...string) (*exec.Cmd, error) {
	a := App{Directory: id.Directory, rt: &Runtime{}}
	if os.Geteuid() == 0 {
		a.credentials = credentials{user: id.User, group: id.Group}
		if err := a.credentials.choose(id.Directory, nil); err != nil {
			return nil, err
		}
		a.credentials.Switch = a.credentials.UID != 0 || id.Group != ""
	}
	in, err := a.search().near(id.Beside)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, in.Path, args...)
	cmd.Env = a.environment(in)
	if a.credentials.Switch {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credentials.syscall()}
	}
	return cmd, nil
}

// near returns the interpreter of an environment in the search's directory, otherwise in one
// of beside, otherwise the first python3 of PATH.
func (s search) near(beside []string) (interpreter, error) {
	in := s.implicitEnv()
	for _, dir := range beside {
		if in.Path != "" {
			break
		}
		s.directory = dir
		in = s.implicitEnv()
	}
	if in.Path != "" {
		return in, executable(in.Path)
	}
	return s.fromPath(in)
}
