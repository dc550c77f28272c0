package appserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// interpreter is an application's Python, and how it was found.
type interpreter struct {
	Path   string
	Env    string // the folder of the virtual environment; "": there is none
	Pipenv bool   // pipenv is asked for Path when the first worker starts

	tried []string // places without an interpreter
	other []string // other environments that were found
}

// describe returns a line about the interpreter, for messages of workers.
func (in *interpreter) describe() string {
	text := "interpreter " + in.Path
	if len(in.tried) > 0 {
		text += "; looked before at " + strings.Join(in.tried, ", ")
	}
	if len(in.other) > 0 {
		text += "; other environments found: " + strings.Join(in.other, ", ")
	}
	return text
}

// search has the inputs of the choice of an interpreter.
type search struct {
	python, virtualenv string
	directory          string
	home               string
	getenv             func(string) string
	may                func(path string) bool // reports whether the worker's user can run path; nil: it is this process's user
}

func (a *App) search() search {
	home := a.credentials.Home
	if !a.credentials.Switch {
		home, _ = os.UserHomeDir()
	}
	s := search{python: a.python, virtualenv: a.virtualenv, directory: a.Directory, home: home, getenv: os.Getenv}
	if a.credentials.Switch {
		s.may = a.credentials.reaches
	}
	return s
}

// findInterpreter returns the first interpreter that exists of: python, virtualenv,
// $VIRTUAL_ENV, .venv and venv beside the application, pipenv, and python3 in PATH. It runs no
// program.
func findInterpreter(s search) (interpreter, error) {
	switch {
	case s.python != "":
		return s.explicitPython()
	case s.virtualenv != "":
		return s.explicitEnv()
	}
	in := s.implicitEnv()
	if in.Path != "" {
		return in, executable(in.Path)
	}
	if isFile(filepath.Join(s.directory, "Pipfile")) {
		if _, err := exec.LookPath("pipenv"); err == nil {
			in.Pipenv = true
			return in, nil
		}
		in.tried = append(in.tried, "pipenv (not installed)")
	}
	return s.fromPath(in)
}

// implicitEnv looks for the environments that need no directive.
func (s search) implicitEnv() (in interpreter) {
	for _, c := range []struct{ what, dir string }{
		{"$VIRTUAL_ENV", s.getenv("VIRTUAL_ENV")},
		{".venv", filepath.Join(s.directory, ".venv")},
		{"venv", filepath.Join(s.directory, "venv")},
	} {
		switch path := pythonOf(c.dir); {
		case c.dir == "":
			in.tried = append(in.tried, c.what+" (not set)")
		case path != "" && c.what == "$VIRTUAL_ENV" && s.may != nil && !s.may(path):
			in.tried = append(in.tried, c.dir+" (not for the worker's user)")
		case path == "":
			in.tried = append(in.tried, c.dir)
		case in.Path == "":
			in.Path, in.Env = path, c.dir
		default:
			in.other = append(in.other, c.dir)
		}
	}
	in.other = append(in.other, s.others(in.Env)...)
	return in
}

// fromPath returns the first python3 of PATH that the worker's user can run. Another user than
// root cannot run one below root's home.
func (s search) fromPath(in interpreter) (interpreter, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "python3")
		if !filepath.IsAbs(path) || executable(path) != nil {
			continue // a relative folder depends on where the server was started
		}
		if s.may != nil && !s.may(path) {
			in.tried = append(in.tried, path+" (not for the worker's user)")
			continue
		}
		in.Path = path
		return in, nil
	}
	return in, fmt.Errorf("cannot find an interpreter: there is no python3 in PATH; looked at %s", strings.Join(in.tried, ", "))
}

func (s search) explicitPython() (interpreter, error) {
	path := s.expand(s.python)
	if !strings.Contains(path, "/") {
		if found, err := exec.LookPath(path); err == nil {
			return interpreter{Path: found, other: s.others("")}, nil
		}
		if in, err := s.named(path); err == nil {
			return in, nil
		}
		return interpreter{}, fmt.Errorf("python %q is neither a program in PATH nor an environment in %s", s.python, strings.Join(s.homes(), ", "))
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		s.virtualenv = path
		return s.explicitEnv()
	}
	in := interpreter{Path: path, other: s.others("")}
	if env := filepath.Dir(filepath.Dir(path)); isFile(filepath.Join(env, "pyvenv.cfg")) {
		in.Env = env
	}
	return in, executable(path)
}

func (s search) explicitEnv() (interpreter, error) {
	dir := s.expand(s.virtualenv)
	if !strings.Contains(dir, "/") {
		if in, err := s.named(dir); err == nil {
			return in, nil
		} else if beside := filepath.Join(s.directory, dir); pythonOf(beside) == "" {
			return interpreter{}, fmt.Errorf("%w, and %s has no bin/python", err, beside)
		}
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.directory, dir)
	}
	path := pythonOf(dir)
	if path == "" {
		return interpreter{}, fmt.Errorf("virtualenv %s has no bin/python", dir)
	}
	return interpreter{Path: path, Env: dir, other: s.others(dir)}, executable(path)
}

func (s search) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(s.home, rest)
	}
	if strings.Contains(path, "/") && !filepath.IsAbs(path) {
		return filepath.Join(s.directory, path)
	}
	return path
}

// named looks up the name of an environment in the folders of virtualenvwrapper and others.
func (s search) named(name string) (interpreter, error) {
	for _, home := range s.homes() {
		dir := filepath.Join(home, name)
		if path := pythonOf(dir); path != "" {
			return interpreter{Path: path, Env: dir, other: s.others(dir)}, executable(path)
		}
	}
	return interpreter{}, fmt.Errorf("there is no environment %q in %s", name, strings.Join(s.homes(), ", "))
}

func (s search) homes() []string {
	var homes []string
	if h := s.getenv("WORKON_HOME"); h != "" {
		homes = append(homes, h)
	}
	if s.home != "" {
		homes = append(homes, filepath.Join(s.home, ".virtualenvs"))
	}
	return homes
}

// others returns the environments beside the application that were not chosen.
func (s search) others(chosen string) []string {
	var found []string
	for _, pattern := range []string{"*/bin/python", ".*/bin/python"} {
		paths, _ := filepath.Glob(filepath.Join(s.directory, pattern))
		for _, p := range paths {
			dir := filepath.Dir(filepath.Dir(p))
			usual := slices.Contains([]string{".", "..", ".venv", "venv"}, filepath.Base(dir))
			if dir != chosen && !usual && !slices.Contains(found, dir) {
				found = append(found, dir)
			}
		}
	}
	return found
}

// pythonOf returns the interpreter of an environment; "": it has none.
func pythonOf(dir string) string {
	if dir == "" {
		return ""
	}
	for _, name := range []string{"bin/python", "bin/python3"} {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	return ""
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

func executable(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("python %s does not exist", path)
	case err != nil:
		return fmt.Errorf("cannot use python: %w", err)
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return fmt.Errorf("python %s is not an executable file", path)
	}
	return nil
}

const pipenvTimeout = 15 * time.Second

// askPipenv returns the interpreter that pipenv names. It runs pipenv as the
// application's user.
func (a *App) askPipenv() (interpreter, error) {
	in := a.interpreter
	ctx, cancel := context.WithTimeout(context.Background(), pipenvTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "pipenv", "--venv")
	cmd.Dir = a.Directory
	cmd.Env = a.environment(interpreter{})
	cmd.WaitDelay = time.Second
	if c := a.credentials; c.Switch {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.syscall()}
	}
	out, err := cmd.Output()
	if path := pythonOf(strings.TrimSpace(string(out))); err == nil && path != "" {
		in.Path, in.Env = path, strings.TrimSpace(string(out))
		return in, executable(path)
	}
	in.tried = append(in.tried, "pipenv --venv (no environment)")
	return a.search().fromPath(in)
}
