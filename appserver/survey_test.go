package appserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/config"
)

// checkout is the folder of an application, and what lies beside it.
type checkout struct {
	t   *testing.T
	dir string
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	dir := resolved(t.TempDir())
	s := checkout{t, dir}
	s.must(os.MkdirAll(s.path("app/templates"), 0o755))
	s.must(os.MkdirAll(s.path("lib"), 0o755))
	for _, name := range []string{"app/app.py", "app/templates/a.html", "app/data.db", "lib/helper.py", "lib/etc.ini"} {
		s.write(name, "first")
	}
	return s
}

func (s checkout) path(name string) string { return filepath.Join(s.dir, name) }

func (s checkout) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s checkout) write(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(s.path(name), []byte(text), 0o644))
}

// later gives the file another time of modification, however coarse the clock is.
func (s checkout) later(name string) {
	s.t.Helper()
	at := time.Unix(2_000_000_000, 0)
	s.must(os.Chtimes(s.path(name), at, at))
}

func (s checkout) app() *App {
	a := newApp("a", config.Pos{})
	a.Program, a.Directory = "app:app", s.path("app")
	return a
}

func TestWhatCountsAsChanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(s checkout)            // what stands when the first survey is made
		ask    func(s checkout, q *Survey) // what the workers have said
		change func(s checkout)
		why    string // how the answer begins, after the folder; "": nothing has changed
	}{
		{"nothing", nil, nil, nil, ""},
		{"a file's text", nil, nil, func(s checkout) { s.write("app/templates/a.html", "other text") }, "app/templates/a.html has changed"},
		{"a file's time alone", nil, nil, func(s checkout) { s.later("app/app.py") }, "app/app.py has changed"},
		{"a new file", nil, nil, func(s checkout) { s.write("app/new.py", "") }, "app/new.py is new"},
		{"a file less", nil, nil, func(s checkout) { s.must(os.Remove(s.path("app/data.db"))) }, "1 file below its directory gone"},
		{"another file under its name", nil, nil, func(s checkout) {
			s.write("app/app.py.tmp", "first")
			s.must(os.Rename(s.path("app/app.py.tmp"), s.path("app/app.py")))
		}, "app/app.py has changed"},
		{"an empty folder", nil, nil, func(s checkout) { s.must(os.Mkdir(s.path("app/empty"), 0o755)) }, ""},
		{"what Python compiles to", nil, nil, func(s checkout) {
			s.must(os.Mkdir(s.path("app/__pycache__"), 0o755))
			s.write("app/__pycache__/app.pyc", "compiled")
		}, ""},
		{"a FIFO", nil, nil, func(s checkout) { s.must(syscall.Mkfifo(s.path("app/pipe"), 0o600)) }, ""},
		{"a link to nowhere", nil, nil, func(s checkout) { s.must(os.Symlink("/nonexistent", s.path("app/link"))) }, "app/link is new"},
		{"below a folder that a link names", func(s checkout) { s.must(os.Symlink(s.path("lib"), s.path("app/lib"))) }, nil,
			func(s checkout) { s.write("lib/etc.ini", "other text") }, "lib/etc.ini has changed"},
		{"a link that leads in a circle", func(s checkout) { s.must(os.Symlink(s.path("app"), s.path("app/again"))) }, nil, nil, ""},
		{"where a link leads", func(s checkout) { s.must(os.Symlink(s.path("lib/helper.py"), s.path("app/current.py"))) }, nil, func(s checkout) {
			s.must(os.Remove(s.path("app/current.py")))
			s.must(os.Symlink(s.path("lib/etc.ini"), s.path("app/current.py")))
		}, "app/current.py has changed"},
		{"a file of the server's", nil, func(s checkout, q *Survey) { q.Ours = []string{s.path("app/access.log")} },
			func(s checkout) { s.write("app/access.log", "line") }, ""},
		{"what it has made", nil, func(s checkout, q *Survey) { q.Written = map[string]bool{s.path("app/upload"): true} },
			func(s checkout) { s.write("app/upload", "of a client") }, ""},
		{"what it writes", nil, func(s checkout, q *Survey) { q.Written = map[string]bool{s.path("app/data.db"): false} },
			func(s checkout) { s.write("app/data.db", "a row") }, ""},
		{"what it writes, put there by another", nil, func(s checkout, q *Survey) { q.Written = map[string]bool{s.path("app/data.db"): false} }, func(s checkout) {
			s.write("app/data.db.tmp", "of a deployment")
			s.must(os.Rename(s.path("app/data.db.tmp"), s.path("app/data.db")))
		}, "app/data.db has changed"},
		{"what it has removed", nil, func(s checkout, q *Survey) { q.Written = map[string]bool{s.path("app/data.db"): true} },
			func(s checkout) { s.must(os.Remove(s.path("app/data.db"))) }, ""},
		{"what was imported from elsewhere", nil, func(s checkout, q *Survey) {
			q.Loaded = map[string]string{s.path("lib/helper.py"): stampOf(s.path("lib/helper.py"))}
		}, func(s checkout) { s.write("lib/helper.py", "other text") }, "lib/helper.py has changed"},
		{"what was imported is gone", nil, func(s checkout, q *Survey) {
			q.Loaded = map[string]string{s.path("lib/helper.py"): stampOf(s.path("lib/helper.py"))}
		}, func(s checkout) { s.must(os.Remove(s.path("lib/helper.py"))) }, "lib/helper.py has changed"},
		{"what was sought in vain is there", nil, func(s checkout, q *Survey) { q.Loaded = map[string]string{s.path("lib/extra.py"): ""} },
			func(s checkout) { s.write("lib/extra.py", "") }, "lib/extra.py has changed"},
		{"what changed while it was imported", nil, func(s checkout, q *Survey) { q.Loaded = map[string]string{s.path("lib/helper.py"): unsure} },
			nil, "lib/helper.py has changed"},
		{"it writes what it has imported", nil, func(s checkout, q *Survey) {
			q.Loaded = map[string]string{s.path("lib/helper.py"): stampOf(s.path("lib/helper.py"))}
			q.Written = map[string]bool{s.path("lib/helper.py"): true}
		}, func(s checkout) { s.write("lib/helper.py", "other text") }, "lib/helper.py has changed"},
		{"what was read from elsewhere", nil, func(s checkout, q *Survey) {
			q.Read = map[string]string{s.path("lib/etc.ini"): stampOf(s.path("lib/etc.ini"))}
		}, func(s checkout) { s.write("lib/etc.ini", "other text") }, "lib/etc.ini has changed"},
		{"what was read from elsewhere and is written", nil, func(s checkout, q *Survey) {
			q.Read = map[string]string{s.path("lib/etc.ini"): stampOf(s.path("lib/etc.ini"))}
			q.Written = map[string]bool{s.path("lib/etc.ini"): false}
		}, func(s checkout) { s.write("lib/etc.ini", "other text") }, ""},
		{"the folder is gone", nil, nil, func(s checkout) { s.must(os.RemoveAll(s.path("app"))) }, "cannot look at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newCheckout(t)
			if c.before != nil {
				c.before(s)
			}
			q := Survey{}
			if c.ask != nil {
				c.ask(s, &q)
			}
			a := s.app()
			first := a.look(Survey{Ours: q.Ours})
			if first.Why != "" || len(first.Tree) == 0 {
				t.Fatalf(`first survey: %q, %d bytes; want "" and some bytes`, first.Why, len(first.Tree))
			}
			if c.change != nil {
				c.change(s)
			}
			q.Tree = first.Tree
			got := a.look(q)
			if why := strings.TrimPrefix(got.Why, s.dir+"/"); !strings.HasPrefix(why, c.why) || c.why == "" && why != "" {
				t.Errorf("got %q, want %q", got.Why, c.why)
			}
			if got.Identity != first.Identity {
				t.Errorf("got the identity %s, want %s: its files do not count", got.Identity, first.Identity)
			}
		})
	}
}

func TestSettingsAndEnvironmentAreTheIdentity(t *testing.T) {
	s := newCheckout(t)
	same := s.app().identity()
	if again := s.app().identity(); again != same {
		t.Errorf("the same block again: got %s, want %s", again, same)
	}
	logging := func(line int, dest string, prefix bool) string {
		a := s.app()
		a.output = output{dest: dest, prefix: prefix, pos: config.Pos{Line: line}, sink: new(bytes.Buffer)}
		return a.identity()
	}
	if moved, before := logging(2, "/log", false), logging(1, "/log", false); moved != before {
		t.Errorf("output on another line of the file: got the identity %s, want %s as before", moved, before)
	}
	for name, changed := range map[string]string{"destination": logging(1, "/other", false), "prefix": logging(1, "/log", true)} {
		if changed == logging(1, "/log", false) {
			t.Errorf("another %s of output: got the same identity, want another", name)
		}
	}
	for name, change := range map[string]func(a *App){
		"workers":     func(a *App) { a.Workers += 3 },
		"timeout":     func(a *App) { a.Timeout = 0 },
		"env":         func(a *App) { a.env = []string{"A=1"} },
		"application": func(a *App) { a.Program = "app:other" },
		"directory":   func(a *App) { a.Directory = s.path("lib") },
		"user":        func(a *App) { a.credentials.UID, a.credentials.Switch = 65534, true },
		"interpreter": func(a *App) { a.interpreter.Path = "/opt/python" },
	} {
		a := s.app()
		change(a)
		if a.identity() == same {
			t.Errorf("another %s: got the same identity, want another", name)
		}
	}
}

func TestAJournalInDoubtSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name  string
		notes [][3]string
		doubt string
	}{
		{"none", nil, ""},
		{"one file, two workers", [][3]string{{noteLoaded, "/a", "1"}, {noteLoaded, "/a", "1"}}, ""},
		{"two versions", [][3]string{{noteLoaded, "/a", "1"}, {noteLoaded, "/a", "2"}}, "different versions of /a"},
		{"read twice, changed between", [][3]string{{noteRead, "/a", "1"}, {noteRead, "/a", "2"}}, ""},
		{"imported and read", [][3]string{{noteLoaded, "/a", "1"}, {noteRead, "/a", "2"}}, ""},
		{"the worker does not know", [][3]string{{noteDoubt, "no audit hooks", ""}}, "no audit hooks"},
	} {
		j := &journal{}
		for _, n := range c.notes {
			j.add(n[0], n[1], n[2])
		}
		if _, doubt := j.question(); !strings.Contains(doubt, c.doubt) || c.doubt == "" && doubt != "" {
			t.Errorf("%s: doubt %q, want %q", c.name, doubt, c.doubt)
		}
	}
}

func TestAJournalIsBounded(t *testing.T) {
	j, s := &journal{}, &service{}
	for i := range mostNotes + 10 {
		j.add([]string{noteLoaded, noteRead}[i%2], fmt.Sprint("/", i), "1")
		s.wrote(fmt.Sprint("/", i), false)
	}
	q, doubt := j.question()
	if len(q.Loaded)+len(q.Read) != mostNotes || !strings.Contains(doubt, "more than") {
		t.Errorf(`%d files are kept, doubt %q; want %d and "more than" in it`, len(q.Loaded)+len(q.Read), doubt, mostNotes)
	}
	if len(s.written.files) != mostNotes || !s.written.many {
		t.Errorf("got %d written files, many %t, want %d, true", len(s.written.files), s.written.many, mostNotes)
	}
	s.wrote("/0", true)
	if s.wrote("/0", false); !s.written.files["/0"] {
		t.Error("got a file that was only opened, want one that was made")
	}
}

func TestLongNamesCannotFillTheMemory(t *testing.T) {
	j, s := &journal{}, &service{}
	long := strings.Repeat("x", 60_000)
	for i := range 1000 {
		j.add(noteRead, fmt.Sprint("/", i, long), "1")
		j.add(noteRead, "/again", fmt.Sprint(i, long)) // the newest of one file's
		s.wrote(fmt.Sprint("/", i, long), true)
	}
	size := 0
	for path, stamp := range j.read {
		size += len(path) + len(stamp)
	}
	if size > mostNoted || size != j.size || !strings.Contains(j.doubt, "take more than") {
		t.Errorf(`%d bytes are kept, counted as %d, doubt %q; want at most %d and "take more than" in it`, size, j.size, j.doubt, mostNoted)
	}
	if s.written.size > mostNoted || !s.written.many {
		t.Errorf("got %d bytes of written files, many %t, want at most %d, true", s.written.size, s.written.many, mostNoted)
	}
	if j.add(noteDoubt, long, ""); len(j.doubt) > 1000 {
		t.Errorf("a doubt has %d bytes, want at most 1000", len(j.doubt))
	}
}

func TestAQuestionIsACopy(t *testing.T) {
	j := &journal{}
	j.add(noteLoaded, "/a", "1")
	q, _ := j.question()
	j.add(noteLoaded, "/b", "1")
	if len(q.Loaded) != 1 {
		t.Errorf("a question grew to %v, want one", q.Loaded)
	}
}

func TestATreeIsPackedAndUnpacked(t *testing.T) {
	entries := []treeEntry{{3, 1, 2}, {1, 5, 6}, {2, 0, 0}}
	packed := (&tree{entries: entries}).pack()
	for _, e := range entries {
		if got := unpack(packed)[e.path]; got != e {
			t.Errorf("got %v, want %v", got, e)
		}
	}
	if empty := (&tree{}).pack(); len(empty) == 0 || len(unpack(empty)) != 0 {
		t.Errorf("a folder without files: got %v, want bytes without entries", empty)
	}
	if cut := unpack(packed[:len(packed)-1]); len(cut) != 2 {
		t.Errorf("a packed tree that is cut has %d entries, want 2", len(cut))
	}
}
