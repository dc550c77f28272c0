package appserver

import (
	"os"
	"os/exec"
	"syscall"
)

// User returns the number of the user that workers of an app have whose
// directory and user are these ("": none was named), in a server that was
// started as root.
func User(directory, name string) (uid int, err error) {
	c := credentials{user: name}
	err = c.choose(directory, nil)
	return c.UID, err
}

// Interpreter returns the Python that workers of such an app have: that of an
// environment in directory or else in beside, or the first of PATH that its
// user can run.
func Interpreter(directory, name, group, beside string) (string, error) {
	a := App{Directory: directory}
	if os.Geteuid() == 0 {
		a.credentials = credentials{user: name, group: group}
		if err := a.credentials.choose(directory, nil); err != nil {
			return "", err
		}
		a.credentials.Switch = a.credentials.UID != 0 || group != ""
	}
	s := a.search()
	in := s.implicitEnv()
	if in.Path == "" {
		s.directory = beside
		in = s.implicitEnv()
	}
	if in.Path == "" {
		var err error
		if in, err = s.fromPath(in); err != nil {
			return "", err
		}
	}
	return in.Path, nil
}

// RunAs has cmd run with the rights and the environment that workers of such an
// app have. Not root, they are our own.
func RunAs(cmd *exec.Cmd, directory, name, group string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	c := credentials{user: name, group: group}
	if err := c.choose(directory, nil); err != nil {
		return err
	}
	cmd.Env = append(inherited(os.Environ(), true), "HOME="+c.Home, "USER="+c.Name, "LOGNAME="+c.Name)
	if c.UID != 0 || group != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.syscall()}
	}
	return nil
}
