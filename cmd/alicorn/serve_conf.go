package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"alicorn/appserver"
	"alicorn/config/osfile"
)

//go:embed gunicorn_conf.py
var evaluator string

// confFile is a gunicorn.conf.py, or a module in its place: a Python program, and the
// values that it has set.
type confFile struct {
	path    string       // absolute; "python:MODULE"
	decider *osfile.User // the user who can change it; nil: only root, or this process is not root

	values  map[string]pythonValue // of settings
	unread  map[string]int         // other names that it sets and never reads, with their lines
	environ []string               // NAME=VALUE that it has set
	removed []string               // variables that it has deleted
	first   []string               // folders that it has put before the library in sys.path
	last    []string               // and after it
}

// where names the file behind a setting's name.
func (c *confFile) where() string { return " in " + c.path }

// configFile evaluates gunicorn's configuration: the file that is named, else
// ./gunicorn.conf.py if there is one.
func (f *serveFlags) configFile(ctx context.Context, variable *serveFlags, words []string) (*serveFlags, error) {
	c, err := findConf(cmp.Or(f.config, variable.config))
	if c == nil || err != nil {
		return nil, err
	}
	who, err := c.identity(f, variable)
	if err != nil {
		return nil, err
	}
	out := os.Stdout
	if f.printConfig {
		out = os.Stderr // standard output gets only the configuration
	}
	if err := c.evaluate(ctx, who, words, out); err != nil {
		return nil, err
	}
	return c.layer()
}

// findConf finds the file or the module that -c names. name is "" for the usual file,
// which need not exist.
func findConf(name string) (*confFile, error) {
	usual := name == ""
	switch {
	case strings.HasPrefix(name, "python:"):
		return &confFile{path: name}, nil
	case usual:
		name = "gunicorn.conf.py"
	}
	name = strings.TrimPrefix(name, "file:")
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	if !isRegular(abs) {
		if usual || abs == os.DevNull { // the usual way to run gunicorn without one
			return nil, nil
		}
		return nil, fmt.Errorf("there is no configuration file %q", name)
	}
	c := &confFile{path: abs}
	if os.Geteuid() == 0 {
		c.decider, err = changer(abs)
	}
	return c, err
}

// nobody stands for "several users".
const nobody = 65534

// changer returns the user who can change the file at path, nobody where several can,
// and nil where only root can.
func changer(path string) (*osfile.User, error) {
	decider, err := osfile.Decider(path)
	if err != nil {
		return nil, err
	}
	if decider.UID != 0 {
		return &decider, nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, osfile.Cause(err)
	}
	uid := 0
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		uid = int(sys.Uid)
		if uid == 0 && (st.Mode()&0o002 != 0 || st.Mode()&0o020 != 0 && sys.Gid != 0) {
			uid = nobody
		}
	}
	if uid == 0 {
		return nil, nil
	}
	u := osfile.UserOf(uid)
	return &u, nil
}

// identity returns the user that evaluates the file, which is code. A file that only
// root can change runs as the application's user; another user's file runs as that
// user.
func (c *confFile) identity(f, variable *serveFlags) (id appserver.Identity, err error) {
	directory := f.chdir
	if directory == "" {
		directory = variable.chdir
	}
	if id.Directory, err = filepath.Abs(directory); err != nil {
		return id, err
	}
	here, err := os.Getwd()
	if err != nil {
		return id, err
	}
	id.Beside = []string{here}
	if filepath.IsAbs(c.path) {
		id.Beside = append(id.Beside, filepath.Dir(c.path))
	}
	id.User, id.Group = cmp.Or(f.user, variable.user), cmp.Or(f.group, variable.group)
	if c.decider != nil {
		id.User, id.Group = strconv.Itoa(c.decider.UID), ""
	}
	return id, nil
}

const (
	evaluateTime = 15 * time.Second
	maxResult    = 4 << 20
)

// evaluate runs the file in the current directory. Its output goes to out.
func (c *confFile) evaluate(ctx context.Context, who appserver.Identity, words []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, evaluateTime)
	defer cancel()
	cmd, err := who.Python(ctx, append([]string{"-c", evaluator, c.path, strings.Join(settingNames(), ",")}, words...)...)
	if err != nil {
		return fmt.Errorf("cannot evaluate %s: %w", c.path, err)
	}
	result, err := unnamedFile()
	if err != nil {
		return fmt.Errorf("cannot evaluate %s: %w", c.path, err)
	}
	defer result.Close()
	var errs bytes.Buffer
	cmd.ExtraFiles = []*os.File{result}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = struct{ io.Writer }{out}, &errs, time.Second
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("cannot evaluate %s: it has not ended after %v", c.path, evaluateTime)
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return c.failed(cmd.Path, err, strings.TrimSpace(errs.String()))
	}
	_, _ = os.Stderr.Write(errs.Bytes())
	text, err := io.ReadAll(io.NewSectionReader(result, 0, maxResult))
	if err == nil && len(text) == 0 {
		return fmt.Errorf("cannot evaluate %s: Python ended before the end of the file", c.path)
	}
	if err == nil {
		err = c.read(text)
	}
	if err != nil {
		return fmt.Errorf("cannot evaluate %s: cannot read its values: %w", c.path, err)
	}
	return nil
}

// failed returns the error that says why the file could not be evaluated.
func (c *confFile) failed(python string, err error, text string) error {
	if text != "" {
		text = "\n" + text
	}
	if filepath.Ext(c.path) == ".conf" {
		text += fmt.Sprintf("\n-c of serve names a file of gunicorn's, in Python; \"alicorn run -c %s\" serves a configuration of alicorn's own", c.path)
	}
	return fmt.Errorf("cannot evaluate %s with %s: %w%s", c.path, python, err, text)
}

// unnamedFile returns a file for the result, which no other process can open.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "alicorn-conf-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// read reads the evaluator's result.
func (c *confFile) read(text []byte) error {
	var r struct {
		Values      map[string]pythonValue
		Unread      map[string]int
		Environ     map[string]string
		Removed     []string
		First, Last []string
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	c.values, c.unread, c.first, c.last = r.Values, r.Unread, r.First, r.Last
	for _, name := range sortedKeys(r.Environ) {
		c.environ = append(c.environ, latin1(name)+"="+latin1(r.Environ[name]))
	}
	for _, name := range r.Removed {
		c.removed = append(c.removed, latin1(name))
	}
	return nil
}

// latin1 returns the bytes that the characters of s stand for.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// layer returns the file's settings.
func (c *confFile) layer() (*serveFlags, error) {
	f := newLayer("gunicorn.conf.py", c.where())
	f.file = c
	for _, name := range sortedKeys(c.values) {
		g, ok := settingOf(name)
		if !ok {
			return nil, fmt.Errorf("%s: unexpected setting %q", c.path, name)
		}
		if err := f.take(g, c.values[name]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", c.path, name, err)
		}
	}
	return f, nil
}

// take takes the value of a setting from the file.
func (f *serveFlags) take(g gunicornSetting, v pythonValue) error {
	if g.kind == hook {
		if v.kind == "none" {
			return nil
		}
		if g.guards {
			f.note(g.name, g.why, true)
			return nil
		}
		f.hooks = append(f.hooks, g.name)
		return nil
	}
	words, err := v.words(g)
	switch {
	case err != nil:
		return err
	case g.name == "wsgi_app":
		f.wsgiApp = strings.Join(words, "")
	case g.name == "forwarded_allow_ips" && v.kind == "none":
		return f.set.Set(g.flag, "") // no proxy is trusted
	case v.kind == "none":
	case g.name == "secure_scheme_headers":
		return f.takeSchemes(words)
	case g.why != "":
		if !g.asksNothing(words) {
			f.note(cmp.Or(g.flag, g.name), g.why, g.guards)
		}
	default:
		return f.setAll(g.flag, words)
	}
	return nil
}

func (f *serveFlags) setAll(flag string, words []string) error {
	for _, word := range words {
		if err := f.set.Set(flag, word); err != nil {
			return fmt.Errorf("invalid value %q: %w", word, err)
		}
	}
	return nil
}

// takeSchemes takes secure_scheme_headers, which may be empty.
func (f *serveFlags) takeSchemes(words []string) error {
	if len(words) == 0 {
		return f.set.Set(schemesFlag, "")
	}
	return f.setAll(schemesFlag, words)
}

// judgeUser refuses the user that a file names, when another user than root can
// change the file: that user could run the application as anybody. It allows that
// user itself, and the user that the application would run as without the file. A
// chdir to a folder of another owner counts as naming that owner.
func (f *serveFlags) judgeUser(command, variable *serveFlags) error {
	c := f.file
	if os.Geteuid() != 0 || c == nil || c.decider == nil && !strings.HasPrefix(c.path, "python:") {
		return nil
	}
	before := cmp.Or(command.chdir, variable.chdir)
	dir, err := filepath.Abs(before)
	if err != nil {
		return err
	}
	named := cmp.Or(command.user, variable.user)
	own, err := appserver.User(dir, named)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(f.chdir); err != nil {
		return err
	}
	uid, err := appserver.User(dir, f.user)
	if err != nil {
		return err
	}
	mine := c.decider != nil && uid == c.decider.UID
	groupNamed := cmp.Or(command.group, variable.group) != "" || f.group == ""
	if !groupNamed {
		groupNamed, err = appserver.Member(dir, f.user, f.group)
	}
	if (uid == own || mine) && groupNamed || err != nil {
		return err
	}
	who := "other users"
	if c.decider != nil {
		who = fmt.Sprintf("user %q", c.decider.Name())
	}
	if f.user == "" && f.group == "" {
		return fmt.Errorf("%s: chdir %q is refused, since %s can change the file and the folder belongs to another user; name it with --chdir, or the user with --user", c.path, f.chdir, who)
	}
	return fmt.Errorf("%s: user %q and group %q are refused, since %s can change the file; name them with --user and --group", c.path, f.user, f.group, who)
}

// judgeFiles refuses log and pid files in root's folders, when another user can change
// the file that names them: root would write there for that user.
func (f *serveFlags) judgeFiles() error {
	c := f.file
	if os.Geteuid() != 0 || c == nil || c.decider == nil {
		return nil
	}
	for _, s := range []struct{ flag, path string }{{"error-logfile", f.errorLog}, {"access-logfile", f.accessLog}, {"pid", f.pid}} {
		if !strings.HasSuffix(f.given[s.flag], c.where()) || s.path == "" || s.path == "-" || strings.HasPrefix(s.path, "/dev/") {
			continue
		}
		path, err := filepath.Abs(s.path)
		if err != nil {
			return err
		}
		decider, err := osfile.Decider(path)
		if err == nil && decider.UID == 0 {
			return fmt.Errorf("%s: %q is refused: only root can write there, and user %q can change the file; name it with --%s", f.given[s.flag], s.path, c.decider.Name(), s.flag)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
