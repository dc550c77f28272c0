package static

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// shelf is a folder whose files are asked of a cache.
type shelf struct {
	t   *testing.T
	dir string
	use cacheUse
}

func newShelf(t *testing.T, c *openCache, sizes ...int) *shelf {
	s := &shelf{t, t.TempDir(), cacheUse{cache: c, valid: time.Hour, minUses: 1, memory: c.memory}}
	for i, size := range sizes {
		name := filepath.Join(s.dir, fmt.Sprint(i))
		old := time.Unix(1_000_000_000, 0)
		if err := os.WriteFile(name, []byte(strings.Repeat("x", size)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.close)
	return s
}

func (s *shelf) ask(file int) error {
	st := &site{settings: settings{opened: s.use}, table: new(validatorTable)}
	lk := st.newLookup(nil)
	defer lk.release()
	lk.name = append(lk.name, filepath.Join(s.dir, fmt.Sprint(file))...)
	return st.open(lk, "")
}

// known lists the files in the cache, those in memory with an "m".
func (s *shelf) known() (text string) {
	for i := range 10 {
		if n := s.use.cache.find([]byte(filepath.Join(s.dir, fmt.Sprint(i))), linkRule{}); n != nil {
			text += fmt.Sprint(i)
			if sn := n.snap.Load(); sn != nil && sn.content != nil {
				text += "m"
			}
		}
	}
	return text
}

func TestTheFileUsedLongestAgoIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, newOpenCache(3, time.Hour), 1, 1, 1, 1, 1)
		for _, step := range []struct {
			file int
			want string
		}{{0, "0"}, {1, "01"}, {2, "012"}, {0, "0m12"}, {3, "0m23"}, {2, "0m2m3"}, {4, "2m34"}, {1, "12m4"}} {
			time.Sleep(time.Second)
			if err := s.ask(step.file); err != nil {
				t.Fatal(err)
			}
			if got := s.known(); got != step.want {
				t.Errorf("after %d: got %s, want %s", step.file, got, step.want)
			}
		}
	})
}

func TestInactiveFilesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, newOpenCache(10, 10*time.Second), 1, 100_000, 1)
		s.ask(0)
		s.ask(1)
		for second := range 20 {
			time.Sleep(time.Second)
			s.ask(2)
			if got := s.known(); second > 0 && second < 9 && got != "012m" || second >= 13 && got != "2m" {
				t.Errorf("after %d seconds: got %s; want 012m until the 9th, and 2m from the 13th on", second, got)
			}
		}
	})
}

func TestMemoryIsBoundedAndGoesToTheFilesInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newOpenCache(10, time.Hour)
		c.memory = &memory{max: 250, file: 100}
		s := newShelf(t, c, 100, 100, 100, 101, 0)
		for _, step := range []struct {
			file int
			want string
			used int64
		}{
			{0, "0", 0}, {0, "0m", 100}, {1, "0m1", 100}, {1, "0m1m", 200},
			{2, "0m1m2", 200}, {2, "0m1m2", 200}, // the others are in use
			{-1, "0m1m2", 200}, {2, "1m2m", 200}, {3, "1m2m3", 200}, {3, "1m2m3", 200}, {4, "1m2m34", 200}, {4, "1m2m34m", 200},
		} {
			if step.file < 0 {
				time.Sleep(2 * time.Second)
			} else if err := s.ask(step.file); err != nil {
				t.Fatal(err)
			}
			if got := s.known(); got != step.want || c.memory.used.Load() != step.used {
				t.Errorf("after %d: got %s with %d bytes, want %s with %d", step.file, got, c.memory.used.Load(), step.want, step.used)
			}
		}
		c.close()
		if got := c.memory.used.Load(); got != 0 {
			t.Errorf("after the end %d bytes are in use, want 0", got)
		}
	})
}

func TestErrorsOfThisProcessAreNotRemembered(t *testing.T) {
	for err, want := range map[error]bool{unix.ENOENT: true, unix.EACCES: true, unix.ELOOP: true, unix.EMFILE: false, unix.ENFILE: false, unix.ENOMEM: false} {
		if got := lasting(err); got != want {
			t.Errorf("%v: got %v; want %v", err, got, want)
		}
	}
}

func TestADescriptorIsClosedByItsLastHolder(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	d := newDescriptor(fd)
	var st unix.Stat_t
	for i, step := range []func() bool{d.hold, func() bool { d.release(); return unix.Fstat(fd, &st) == nil }, func() bool { d.release(); return unix.Fstat(fd, &st) != nil }, func() bool { return !d.hold() }} {
		if !step() {
			t.Errorf("step %d fails", i)
		}
	}
}

func TestBytesReadWhileAFileChangesAreNotKept(t *testing.T) {
	for name, content := range map[string]string{"grown": "xyz", "shrunk": "x", "of the same length": "yy"} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, newOpenCache(10, time.Hour), 2)
			lk := &lookup{name: append([]byte(filepath.Join(s.dir, "0")), 0), file: file{fd: -1}}
			if err := lk.openName(); err != nil {
				t.Fatal(err)
			}
			sn := newSnapshot(lk, new(validatorTable), nil)
			defer sn.release()
			if got, ok := sn.readWhole(lk); string(got) != "xx" || !ok {
				t.Errorf(`before the change: got %q, %v; want "xx" and ok true`, got, ok)
			}
			if err := os.WriteFile(filepath.Join(s.dir, "0"), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if got, ok := sn.readWhole(lk); ok {
				t.Errorf("after the change: got %q; want ok false", got)
			}
		})
	}
}

func TestAClosedCacheKeepsNothing(t *testing.T) {
	s := newShelf(t, newOpenCache(10, time.Hour), 1, 1)
	s.ask(0)
	s.use.cache.close()
	for range 2 {
		if err := s.ask(0); err != nil {
			t.Error(err)
		}
		if err := s.ask(1); err != nil {
			t.Error(err)
		}
	}
	if got := s.known(); got != "" {
		t.Errorf(`got %s, want ""`, got)
	}
}
