package osfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mallory is a user that no system has.
const mallory = 54321

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("only root acts for other users")
		return false
	}
	return true
}

// land returns a folder that only root may change, with "secret", which only root may
// read, and a folder of mallory below it; "" if there is no other user.
func land(t *testing.T) (dir, foreign string) {
	t.Helper()
	if !asRoot(t) {
		return "", ""
	}
	dir = t.TempDir()
	foreign = filepath.Join(dir, "home")
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		check(t, os.Chmod(d, 0o755))
	}
	check(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("root:hash"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "open"), []byte("for all"), 0o644))
	check(t, os.Mkdir(foreign, 0o755))
	check(t, os.Chown(foreign, mallory, mallory))
	return dir, foreign
}

// planted makes name in dir as mallory would.
func planted(t *testing.T, dir, name string, plant func(path string) error) string {
	t.Helper()
	path := filepath.Join(dir, name)
	check(t, plant(path))
	check(t, os.Lchown(path, mallory, mallory))
	return path
}

func symlink(target string) func(string) error {
	return func(path string) error { return os.Symlink(target, path) }
}

func text(content string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(content), 0o644) }
}

func TestReadingHasTheRightsOfWhoDecides(t *testing.T) {
	dir, foreign := land(t)
	if dir == "" {
		return
	}
	secret := filepath.Join(dir, "secret")
	check(t, os.Symlink(secret, filepath.Join(dir, "roots")))
	check(t, os.Symlink(foreign, filepath.Join(dir, "current")))
	planted(t, foreign, "plain", text("mine"))
	planted(t, foreign, "leads", symlink(secret))
	planted(t, foreign, "relative", symlink("../open"))
	planted(t, foreign, "pipe", func(p string) error { return syscall.Mkfifo(p, 0o666) })
	planted(t, foreign, "folder", func(p string) error { return os.Mkdir(p, 0o755) })
	planted(t, foreign, "zero", func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) })
	planted(t, foreign, "null", symlink(os.DevNull))
	planted(t, foreign, "large", func(p string) error { return errors.Join(text("")(p), os.Truncate(p, 1<<40)) })
	planted(t, foreign, "elsewhere", symlink(dir))
	check(t, os.WriteFile(filepath.Join(foreign, "roots"), []byte("root:hash"), 0o600))
	for _, c := range []struct{ name, want, err string }{
		{"secret", "root:hash", ""},
		{"roots", "root:hash", ""},
		{"home/plain", "mine", ""},
		{"current/plain", "mine", ""},
		{"current/../open", "for all", ""},
		{"home/relative", "for all", ""},
		{"home/null", "", ""},
		{"home/leads", "", "permission denied for user"},
		{"current/leads", "", "permission denied for user"},
		{"home/elsewhere/secret", "", "permission denied for user"},
		{"home/roots", "", "permission denied for user"},
		{"home/pipe", "", "it is a named pipe"},
		{"home/folder", "", "is a directory"},
		{"home/zero", "", "it is a device"},
		{"home/large", "", "larger than 1 MiB"},
		{"home/none", "", "no such file"},
		{"none/none", "", "no such file"},
		{"secret/none", "", "not a directory"},
	} {
		got, err := Read(dir+"/"+c.name, MaxEnvironment)
		switch {
		case c.err == "" && (err != nil || string(got) != c.want):
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %q, %v; want an error with %q", c.name, got, err, c.err)
		}
	}
}

func TestLinksInACircleEnd(t *testing.T) {
	dir, _ := land(t)
	if dir == "" {
		return
	}
	check(t, os.Symlink("b", filepath.Join(dir, "a")))
	check(t, os.Symlink("a", filepath.Join(dir, "b")))
	if _, err := ReadSmall(filepath.Join(dir, "a")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("error %v, want ELOOP", err)
	}
}

func TestASharedFolderGivesNoRightsOfRoot(t *testing.T) {
	dir, _ := land(t)
	if dir == "" {
		return
	}
	shared := filepath.Join(dir, "shared")
	check(t, os.Mkdir(shared, 0o777))
	check(t, os.Chmod(shared, 0o777|fs.ModeSticky))
	planted(t, shared, "leads", symlink(filepath.Join(dir, "secret")))
	planted(t, shared, "plain", text("mine"))
	check(t, os.WriteFile(filepath.Join(shared, "roots"), []byte("roots"), 0o600))
	check(t, os.Link(filepath.Join(dir, "secret"), filepath.Join(shared, "second")))
	check(t, os.Symlink("roots", filepath.Join(shared, "rootslink")))
	for name, want := range map[string]string{"leads": "", "plain": "mine", "roots": "roots", "second": "", "rootslink": "roots"} {
		if got, err := ReadSmall(filepath.Join(shared, name)); string(got) != want || (want == "") != (err != nil) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestMakingAndRemovingHaveTheRightsOfWhoDecides(t *testing.T) {
	dir, foreign := land(t)
	if dir == "" {
		return
	}
	target := filepath.Join(dir, "target")
	check(t, os.Mkdir(target, 0o755))
	check(t, os.WriteFile(filepath.Join(target, "kept"), nil, 0o644))
	planted(t, foreign, "leads", symlink(target))
	for name, err := range map[string]error{
		"make":   MkdirAll(filepath.Join(foreign, "leads", "new"), 0o755),
		"remove": Remove(filepath.Join(foreign, "leads", "kept")),
		"create": func() error {
			_, err := Open(filepath.Join(foreign, "leads", "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
			return err
		}(),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: error %v, want a refused permission", name, err)
		}
	}
	if got, _ := os.ReadDir(target); len(got) != 1 || got[0].Name() != "kept" {
		t.Errorf(`the folder that the link leads to has %v, want one and "kept"`, got)
	}
	made := filepath.Join(foreign, "a", "b")
	check(t, MkdirAll(made, 0o700))
	f, err := Open(filepath.Join(made, "log"), os.O_CREATE|os.O_WRONLY, 0o644)
	check(t, err)
	f.Close()
	for _, path := range []string{made, filepath.Join(made, "log")} {
		if st, err := os.Stat(path); err != nil || st.Sys().(*syscall.Stat_t).Uid != mallory {
			t.Errorf("%s: %v, %v; want it to be the folder's owner's", path, st, err)
		}
	}
	ours := filepath.Join(dir, "x", "y", "z")
	check(t, MkdirAll(ours, 0o700))
	check(t, MkdirAll(ours, 0o700))
	if st, err := os.Stat(ours); err != nil || st.Mode().Perm() != 0o700 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%s: %v, %v; want 0o700 and Uid 0", ours, st, err)
	}
	check(t, Remove(filepath.Join(made, "log")))
	if err := Remove(filepath.Join(foreign, "leads")); err != nil {
		t.Errorf("a link itself cannot be removed: %v", err)
	}
}

func TestRightsComeBack(t *testing.T) {
	if !asRoot(t) {
		return
	}
	ran := false
	check(t, User{UID: mallory, GID: mallory, Groups: []int{7}}.Do(func() error {
		ran = true
		uid, _ := unix.SetfsuidRetUid(unchanged)
		gid, _ := unix.SetfsgidRetGid(unchanged)
		groups, _ := unix.Getgroups()
		if uid != mallory || gid != mallory || len(groups) != 1 || groups[0] != 7 {
			t.Errorf("user %d, group %d, groups %v; want %d, %d, one and 7", uid, gid, groups, mallory, mallory)
		}
		return nil
	}))
	uid, _ := unix.SetfsuidRetUid(unchanged)
	gid, _ := unix.SetfsgidRetGid(unchanged)
	if !ran || uid != 0 || gid != 0 {
		t.Errorf("ran %v; afterwards user %d, group %d; want ran true, 0 and 0", ran, uid, gid)
	}
}

func TestChmodChangesOnlyASocketOfOurs(t *testing.T) {
	dir, _ := land(t)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, "app.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	check(t, err)
	defer unix.Close(fd)
	check(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	check(t, Chmod(path, 0o660))
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0o660", st, err)
	}
	check(t, os.Remove(path))
	check(t, os.Symlink(filepath.Join(dir, "secret"), path))
	if Chmod(path, 0o666) == nil {
		t.Error("a link was followed")
	}
	if st, _ := os.Stat(filepath.Join(dir, "secret")); st.Mode().Perm() != 0o600 {
		t.Errorf("the link's target has mode %v", st.Mode())
	}
}
