package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/config/osfile"
)

// hostile is the user of an application that plants things in its folder.
const hostile = 54324

// plants are what the user may put at a path, each in place of what root
// expects there. target is a file of root's, or a folder of root's.
var plants = []struct {
	name  string
	plant func(path, target string) error
}{
	{"link to a file of root's", func(path, target string) error { return os.Symlink(filepath.Join(target, "secret"), path) }},
	{"link to a folder of root's", func(path, target string) error { return os.Symlink(target, path) }},
	{"link to a new name in a folder of root's", func(path, target string) error { return os.Symlink(filepath.Join(target, "new"), path) }},
	{"second name of a file of root's", func(path, target string) error { return os.Link(filepath.Join(target, "secret"), path) }},
	{"pipe", func(path, _ string) error { return syscall.Mkfifo(path, 0o666) }},
	{"folder", func(path, _ string) error { return os.Mkdir(path, 0o755) }},
	{"huge file", func(path, _ string) error {
		return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40))
	}},
	{"endless device", func(path, _ string) error { return os.Symlink("/dev/zero", path) }},
	{"socket", func(path, _ string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}},
	{"link to itself", func(path, _ string) error { return os.Symlink(path, path) }},
}

// touches are what root does with a path that a configuration names.
var touches = []struct {
	name string
	do   func(path string) error
}{
	{"configuration", func(path string) error {
		_, err := config.LoadFile(path, config.OS(), "")
		return err
	}},
	{"credential", func(path string) error {
		_, err := new(keeper.Local).ReadFile(path)
		return err
	}},
	{"env_file", func(path string) error {
		_, err := osfile.Read(path, osfile.MaxEnvironment)
		return err
	}},
	{"log", func(path string) error {
		f, err := (&keeper.Local{Owner: keeper.DefaultIdentity()}).Append(path)
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"log below", func(path string) error {
		f, err := (&keeper.Local{Owner: keeper.DefaultIdentity()}).Append(filepath.Join(path, "new"))
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"listen", func(path string) error {
		f, err := new(keeper.Local).Listen("unix", path, config.ListenOptions{})
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"listen below", func(path string) error {
		f, err := new(keeper.Local).Listen("unix", filepath.Join(path, "new"), config.ListenOptions{})
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"pid", func(path string) error {
		_, err := writePID(path)
		(&pidFile{path: path}).remove()
		return err
	}},
	{"pid below", func(path string) error {
		_, err := writePID(filepath.Join(path, "new"))
		(&pidFile{path: filepath.Join(path, "new")}).remove()
		return err
	}},
	{"state", func(path string) error {
		return osfile.Own(osfile.Folder{Path: path, Mode: 0o700, Holds: func(string) bool { return true }}, keeper.DefaultIdentity().Files())
	}},
	{"control socket", func(path string) error {
		f, err := controlFor(filepath.Join(path, "c.sock"), keeper.DefaultIdentity())
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"removal", osfile.Remove},
}

// Whatever an application's user puts where root reads, writes or makes
// something, root comes back at once, and nothing of root's has changed.
func TestAHostileUserGetsNothingOfRoots(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	for _, p := range plants {
		for _, touch := range touches {
			t.Run(touch.name+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				home, target := hostileHome(t)
				path := filepath.Join(home, "x")
				if err := p.plant(path, target); err != nil {
					t.Fatal(err)
				}
				if p.name != "second name of a file of root's" {
					if err := os.Lchown(path, hostile, hostile); err != nil {
						t.Fatal(err)
					}
				}
				ctx, done := context.WithCancel(context.Background())
				var err error
				go func() { defer done(); err = touch.do(path) }()
				<-ctx.Done() // a wait without end ends the test
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the message tells the secret: %v", err)
				}
				unchanged(t, target)
			})
		}
	}
}

// hostileHome returns a folder of the user's, and one of root's that holds
// "secret".
func hostileHome(t *testing.T) (home, target string) {
	t.Helper()
	dir := t.TempDir()
	home, target = filepath.Join(dir, "home"), filepath.Join(dir, "roots")
	steps := []error{os.Mkdir(home, 0o755), os.Mkdir(target, 0o755), os.WriteFile(filepath.Join(target, "secret"), []byte("hunter2;\n"), 0o600), os.Chown(home, hostile, hostile)}
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		steps = append(steps, os.Chmod(d, 0o755))
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	return home, target
}

// unchanged checks that the folder of root's is as hostileHome made it.
func unchanged(t *testing.T, target string) {
	t.Helper()
	list, err := os.ReadDir(target)
	if err != nil || len(list) != 1 {
		t.Errorf("root's folder has %v, %v; want one", list, err)
	}
	for path, mode := range map[string]fs.FileMode{target: 0o755, filepath.Join(target, "secret"): 0o600} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != mode || st.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: %v, %v; want %v and Uid 0", path, st, err, mode)
		}
	}
	if text, err := os.ReadFile(filepath.Join(target, "secret")); err != nil || string(text) != "hunter2;\n" {
		t.Errorf("the secret is %q, %v; want %q", text, err, "hunter2;\n")
	}
}

func TestAFolderAmongTemporaryFilesMustBeOurs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(path string) error
		err  string
	}{
		{"none", func(string) error { return nil }, ""},
		{"open", func(p string) error { return os.Mkdir(p, 0o777) }, ""},
		{"another's", func(p string) error { return errors.Join(os.Mkdir(p, 0o777), os.Chown(p, hostile, hostile)) }, "it belongs to user"},
		{"a link", func(p string) error { return os.Symlink(os.TempDir(), p) }, "it is not a folder"},
		{"a file", func(p string) error { return os.WriteFile(p, nil, 0o600) }, "it is not a folder"},
	} {
		path := filepath.Join(t.TempDir(), "alicorn-0")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		err := ownTemporary(path)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.err)
		}
		if st, serr := os.Lstat(path); err == nil && (serr != nil || st.Mode().Perm() != 0o700) {
			t.Errorf("%s: mode %v, %v; want 0700", c.name, st, serr)
		}
	}
}
