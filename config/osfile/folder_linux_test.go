package osfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// server and before are the users that serve, now and earlier.
const (
	server = 54322
	before = 54323
)

func theServer() User { return User{UID: server, GID: server} }

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	st, err := os.Lstat(path)
	check(t, err)
	return int(st.Sys().(*syscall.Stat_t).Uid)
}

// tree makes the folders and files, each "PATH OWNER", below dir.
func tree(t *testing.T, dir string, entries ...string) {
	t.Helper()
	owners := map[string]int{"root": 0, "server": server, "before": before, "mallory": mallory}
	for _, e := range entries {
		name, owner, _ := strings.Cut(e, " ")
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			check(t, os.Mkdir(path, 0o755))
		} else {
			check(t, os.WriteFile(path, nil, 0o600))
		}
		check(t, os.Lchown(path, owners[owner], owners[owner]))
	}
}

func TestAFolderIsGivenDownTheTree(t *testing.T) {
	for _, c := range []struct {
		name   string
		tree   []string
		given  []string
		others []string
	}{
		{"made", nil, []string{"state"}, nil},
		{"of the user before", []string{"state/ before", "state/acme/ before", "state/acme/key before"}, []string{"state", "state/acme", "state/acme/key"}, nil},
		{"of root", []string{"state/ root", "state/acme/ root", "state/acme/key root"}, []string{"state", "state/acme", "state/acme/key"}, nil},
		{"given, but not what is in it", []string{"state/ server", "state/acme/ before", "state/acme/key before"}, []string{"state/acme", "state/acme/key"}, nil},
		{"root's file in another's folder", []string{"state/ before", "state/moved root"}, []string{"state"}, []string{"state/moved"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := land(t)
			if dir == "" {
				return
			}
			tree(t, dir, c.tree...)
			state := Folder{Path: filepath.Join(dir, "state"), Mode: 0o700}
			check(t, CanOwn(state, theServer()))
			check(t, Own(state, theServer()))
			for _, name := range c.given {
				if got := ownerOf(t, filepath.Join(dir, name)); got != server {
					t.Errorf("%s belongs to %d; want %d", name, got, server)
				}
			}
			for _, name := range c.others {
				if got := ownerOf(t, filepath.Join(dir, name)); got == server {
					t.Errorf("%s was given", name)
				}
			}
			if st, err := os.Stat(state.Path); err != nil || st.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, %v; want 0700", st, err)
			}
		})
	}
}

func TestNothingThatAnotherUserPlantedIsGiven(t *testing.T) {
	dir, _ := land(t)
	if dir == "" {
		return
	}
	tree(t, dir, "elsewhere/ root", "elsewhere/key root", "state/ before", "state/acme/ before")
	for name, plant := range map[string]func(string) error{
		"state/link":      symlink(filepath.Join(dir, "secret")),
		"state/acme/link": symlink(filepath.Join(dir, "elsewhere")),
		"state/pipe":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		planted(t, dir, name, plant)
	}
	check(t, os.Link(filepath.Join(dir, "secret"), filepath.Join(dir, "state/second")))
	check(t, Own(Folder{Path: filepath.Join(dir, "state"), Mode: 0o700}, theServer()))
	for _, name := range []string{"secret", "elsewhere", "elsewhere/key", "state/second"} {
		if got := ownerOf(t, filepath.Join(dir, name)); got != 0 {
			t.Errorf("%s was given to %d; want 0", name, got)
		}
	}
}

func TestAFolderOfSomebodyElseIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		name  string
		tree  []string
		mode  fs.FileMode
		path  string
		err   string
		owner int
	}{
		{"a home", []string{"deploy/ mallory", "deploy/notes mallory"}, 0o755, "deploy", `holds "notes", which the server did not make`, mallory},
		{"root's", []string{"etc/ root", "etc/passwd root"}, 0o755, "etc", `holds "passwd"`, 0},
		{"a shared one", []string{"tmp/ root", "tmp/alicorn-1 root"}, 0o777 | fs.ModeSticky, "tmp", "", 0},
		{"an empty one", []string{"cache/ before"}, 0o755, "cache", "", server},
		{"with our files", []string{"cache/ before", "cache/alicorn-1 before"}, 0o755, "cache", "", server},
		{"below another user's", []string{"deploy/ mallory", "deploy/tmp/ mallory"}, 0o755, "deploy/tmp", "may not write to it", mallory},
		{"made below another user's", []string{"deploy/ mallory"}, 0o755, "deploy/tmp", "", server},
		{"below a closed one", []string{"closed/ root"}, 0o700, "closed/tmp", "cannot reach folder", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := land(t)
			if dir == "" {
				return
			}
			tree(t, dir, c.tree...)
			top, _, _ := strings.Cut(c.path, "/")
			check(t, os.Chmod(filepath.Join(dir, top), c.mode))
			f := Folder{Path: filepath.Join(dir, c.path), Mode: 0o700, Holds: func(name string) bool { return strings.HasPrefix(name, "alicorn-") }}
			for what, err := range map[string]error{"check": CanOwn(f, theServer()), "start": Own(f, theServer())} {
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("%s: error %v; want %q", what, err, c.err)
				}
			}
			if c.owner >= 0 {
				if got := ownerOf(t, f.Path); got != c.owner {
					t.Errorf("it belongs to %d, want %d", got, c.owner)
				}
			}
		})
	}
}

func TestAFileInTheUsersOwnFolderIsAdopted(t *testing.T) {
	dir, foreign := land(t)
	if dir == "" {
		return
	}
	tree(t, dir, "logs/ server", "logs/old.log before", "logs/roots root")
	check(t, os.Link(filepath.Join(dir, "open"), filepath.Join(dir, "logs/second")))
	planted(t, foreign, "mine", text(""))
	for path, given := range map[string]bool{"logs/old.log": true, "logs/roots": false, "logs/second": false, "home/mine": false, "open": false} {
		_ = Adopt(filepath.Join(dir, path), theServer()) // the owner says what became of it
		if got := ownerOf(t, filepath.Join(dir, path)); (got == server) != given {
			t.Errorf("%s belongs to %d; want the server, which is %d: %v", path, got, server, given)
		}
	}
}

func TestReadableNamesWhatAUserMayNotRead(t *testing.T) {
	dir, _ := land(t)
	if dir == "" {
		return
	}
	tree(t, dir, "good/ root", "good/css/ mallory", "good/css/a.css mallory", "closed/ root", "closed/in/ server", "closed/in/a before", "one/ mallory", "one/key server")
	check(t, os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "good/link")))
	check(t, os.Chmod(filepath.Join(dir, "closed/in"), 0o700))
	for _, c := range []struct {
		dir  string
		most int
		err  string
	}{
		{"good", 100, ""}, {"closed", 100, "closed/in"}, {"one", 100, "one/key"}, {"good", 2, "too many files"}, {"none", 100, "no such file"},
	} {
		err := Readable(filepath.Join(dir, c.dir), User{UID: mallory, GID: mallory}, c.most)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v; want %q", c.dir, err, c.err)
		}
	}
}
