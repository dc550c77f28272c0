package appserver

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// Survey asks whether an application has changed. A process that can do so answers it, with
// the rights of the application's user.
type Survey struct {
	Tree    []byte            `json:"tree,omitempty"`    // Findings.Tree of the Survey before; empty: there was none
	Loaded  map[string]string `json:"loaded,omitempty"`  // the stamps of files that the application has imported
	Read    map[string]string `json:"read,omitempty"`    // the stamps of other files that it has read during imports
	Written map[string]bool   `json:"written,omitempty"` // files that it writes; true: it makes, moves or removes them
	Ours    []string          `json:"ours,omitempty"`    // files and folders of the server, which are ignored
}

// Findings is the answer to a Survey.
type Findings struct {
	Identity string `json:"identity"` // a digest of all settings and the environment: see App.identity
	Tree     []byte `json:"tree"`     // hashes of the files below the directory: see tree.pack; empty: not known
	Why      string `json:"why"`      // what has changed among the files; "": nothing
}

// Surveyor answers Surveys about apps of the newest configuration.
type Surveyor interface {
	Survey(app string, q Survey) (Findings, error)
}

// surveyTime is how long a Survey may take: a file system may hang.
const surveyTime = 10 * time.Second

// Survey answers q. It takes at most ten seconds.
func (a *App) Survey(q Survey) Findings {
	done := make(chan Findings, 1)
	go func() {
		var f Findings
		if err := a.rights().Do(func() error { f = a.look(q); return nil }); err != nil {
			f = Findings{Identity: a.identity(), Why: err.Error()}
		}
		done <- f
	}()
	select {
	case f := <-done:
		return f
	case <-time.After(surveyTime):
		return Findings{Identity: a.identity(), Why: fmt.Sprintf("its files could not be checked within %s", surveyTime)}
	}
}

func (a *App) look(q Survey) Findings {
	f := Findings{Identity: a.identity()}
	for path, stamp := range q.Loaded {
		if now := stampOf(path); now != stamp || now == unsure {
			f.Why = path + " has changed"
		}
	}
	for path, stamp := range q.Read {
		if now := stampOf(path); now != stamp && !q.writes(path, sameFile(now, stamp)) {
			f.Why = path + " has changed"
		}
	}
	t := tree{ours: map[string]bool{}, visited: map[[2]uint64]bool{}}
	for _, path := range append(q.Ours, openFiles()...) {
		t.ours[resolved(path)] = true
	}
	if err := t.walk(resolved(a.Directory)); err != nil {
		f.Why = err.Error()
		return f
	}
	f.Tree = t.pack()
	if f.Why == "" && len(q.Tree) > 0 {
		f.Why = t.compare(q)
	}
	return f
}

// writes reports whether the application itself may have changed the file: it makes
// the file, or writes to this very file (same).
func (q Survey) writes(path string, same bool) bool {
	made, known := q.Written[path]
	return known && (made || same)
}

// rights returns the user whose rights the application's workers have in the file system.
func (a *App) rights() osfile.User {
	c := a.credentials
	if !c.Switch {
		return osfile.User{}
	}
	return osfile.User{UID: c.UID, GID: c.GID, Groups: c.Groups}
}

// identity returns a digest of the app's block and its environment. It covers every
// field except positions in the file and the state of the running app.
func (a *App) identity() string {
	h := sha256.New()
	v := reflect.ValueOf(a).Elem()
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "Pos", "output", "programs", "interpreter", "service", "rt", "asking":
		default:
			fmt.Fprintf(h, "%s %v\n", name, v.Field(i))
		}
	}
	fmt.Fprintf(h, "output %q %v\n", a.output.dest, a.output.prefix)
	for _, p := range a.programs {
		fmt.Fprintf(h, "%v\n", p.Settings)
	}
	a.asking.Lock()
	fmt.Fprintf(h, "%s %s %s", resolved(a.Directory), a.interpreter.Path, a.interpreter.Env)
	a.asking.Unlock()
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Same reports whether a and b are equal except for their positions.
func (a *App) Same(b *App) bool { return a.identity() == b.identity() }

// Interchangeable reports whether workers of a can serve a pool of b, because they use
// the same sizes of lanes and bodies.
func (a *App) Interchangeable(b *App) bool {
	return slices.EqualFunc(a.programs, b.programs, func(p, q *program) bool {
		return p.Kind == q.Kind && p.Threads == q.Threads && p.Streams == q.Streams && p.Heartbeat == q.Heartbeat
	})
}

// unsure is the stamp of a file that may have changed without a change of its times.
const unsure = "?"

// stampOf returns the stamp of the file at path, links resolved, in the worker's
// format: device, inode, size and times. "" stands for no file.
func stampOf(path string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%x.%x.%x.%x.%x", uint64(st.Dev), st.Ino, st.Size, modified(&st), changed(&st))
}

// sameFile reports whether two stamps are of the same file.
func sameFile(a, b string) bool {
	cut := func(s string) string {
		parts := strings.SplitN(s, ".", 3)
		return strings.Join(parts[:min(2, len(parts))], ".")
	}
	return a != "" && cut(a) == cut(b)
}

// resolved returns path without links, or path itself on an error.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// openFiles returns the files that this process has open for writing, which are its logs. A
// file that it only reads may belong to an application.
func openFiles() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || !writesTo(fd) {
			continue
		}
		path, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && strings.HasPrefix(path, "/") && writesTo(fd) { // fd was not reused meanwhile
			files = append(files, path)
		}
	}
	return files
}

// writesTo reports whether a descriptor is open for writing.
func writesTo(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}
