package authbasic

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// maxFile is the largest size, in bytes, of a file of users.
const maxFile = 4 << 20

// maxFiles is how many files are kept in memory: their names may have variables.
const maxFiles = 64

// settled is how long a file must be unchanged before its state shows all later changes: the
// times of file systems are coarse.
const settled = 2 * time.Second

// files are the files in memory, by path.
type files struct {
	mu     sync.Mutex
	byPath map[string]*table
}

// table is one version of a file. Only the proofs in its entries change.
type table struct {
	state   state
	settled bool // the state shows all changes after the reading
	users   map[string]*entry
	dearest *entry    // the entry whose check takes longest; nil: there is none
	refused []refused // the lines whose passwords cannot be checked
}

// refused is a line whose password cannot be checked, and why.
type refused struct{ line, why string }

// state distinguishes the versions of a file.
type state struct {
	device, inode     uint64
	size              int64
	modified, changed unix.Timespec
}

// of returns the present version of the file at path. The error is the system's, or says that
// the file is too large, or not a regular file.
func (f *files) of(path string) (*table, error) {
	now, err := stateOf(path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.byPath[path]; t != nil && t.settled && t.state == now {
		return t, nil
	}
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	t.keepProofs(f.byPath[path])
	f.put(path, t)
	return t, nil
}

func (f *files) put(path string, t *table) {
	if f.byPath == nil {
		f.byPath = map[string]*table{}
	}
	if f.byPath[path] == nil && len(f.byPath) >= maxFiles {
		for other := range f.byPath {
			delete(f.byPath, other)
			break
		}
	}
	f.byPath[path] = t
}

func stateOf(path string) (state, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return state{}, err
	}
	return state{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtim, s.Ctim}, nil
}

// readTable reads the file at path. The table's state is from before the reading, so that a
// change during the reading shows.
func readTable(path string) (*table, error) {
	st, err := stateOf(path)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	content, err := osfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	t := &table{state: st, users: map[string]*entry{}}
	t.settled = began.Sub(time.Unix(st.modified.Unix())) > settled && began.Sub(time.Unix(st.changed.Unix())) > settled
	number := 0
	for line := range strings.SplitSeq(string(content), "\n") {
		number++
		t.add(line, number)
	}
	return t, nil
}

// add adds the user of a line. As in nginx, colons separate name, password and comment, and
// the first line of a user counts.
func (t *table) add(line string, number int) {
	if line == "" || line[0] == '#' || line[0] == '\r' {
		return
	}
	name, rest, ok := strings.Cut(line, ":")
	if !ok || t.users[name] != nil {
		return
	}
	if end := strings.IndexAny(rest, ":\r"); end >= 0 {
		rest = rest[:end]
	}
	e := newEntry(rest)
	t.users[name] = e
	if e.scheme == nil {
		t.refused = append(t.refused, refused{strconv.Itoa(number), e.refusal})
		return
	}
	if t.dearest == nil || e.cost > t.dearest.cost {
		t.dearest = e
	}
}

// keepProofs takes over the proofs of entries that have the same hash in old.
func (t *table) keepProofs(old *table) {
	if old == nil {
		return
	}
	for name, e := range t.users {
		if was := old.users[name]; was != nil && was.hash == e.hash {
			e.proof.Store(was.proof.Load())
		}
	}
}
