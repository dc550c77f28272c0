package static

import (
	"errors"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshot is one version of the file that has a name. It does not change, so that a
// response's head and its bytes belong together.
type snapshot struct {
	err     error // the system's error for the name; the rest is empty then
	id      identity
	mode    uint32
	v       *validators
	open    *descriptor  // nil for an error, a folder, and a file in memory
	content []byte       // all bytes; nil: not in memory
	memory  *memory      // the memory that content counts against
	checked atomic.Int64 // when the name last led to this version, by openCache.now
}

// identity distinguishes the versions of a file.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed unix.Timespec
}

func identityOf(s *unix.Stat_t) identity {
	return identity{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtim, s.Ctim}
}

// newSnapshot returns a snapshot of the file that lk has opened, or of err. lk
// becomes a holder of the descriptor.
func newSnapshot(lk *lookup, table *validatorTable, err error) *snapshot {
	if err != nil {
		return &snapshot{err: err}
	}
	f := &lk.file
	s := &snapshot{id: identityOf(&lk.stat), mode: f.mode}
	if f.isDir() {
		return s
	}
	s.v = table.of(f.modified, f.size)
	s.open = newDescriptor(f.fd)
	f.shared, f.snap = s.open, s
	return s
}

// lasting reports whether an error is about the file, and not about this process, which for
// example has no descriptor left.
func lasting(err error) bool {
	for _, e := range [...]syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR} {
		if errors.Is(err, e) {
			return false
		}
	}
	return true
}

// give opens s in lk. ok is false if s cannot be used any more: its descriptor is closed, or
// its file was changed in place.
func (s *snapshot) give(lk *lookup) (ok bool) {
	if s.open == nil {
		lk.file = file{fd: -1, mode: s.mode, size: s.id.size, content: s.content, snap: s}
		return true
	}
	if !s.open.hold() {
		return false
	}
	lk.file = file{fd: s.open.fd, mode: s.mode, size: s.id.size, snap: s, shared: s.open}
	if !s.unchanged(lk) {
		lk.close()
		return false
	}
	return true
}

// unchanged reports whether the open file still is the version that s describes. It does not
// notice that the name leads to another file; recheck does.
func (s *snapshot) unchanged(lk *lookup) bool {
	return unix.Fstat(lk.file.fd, &lk.stat) == nil && lk.stat.Size == s.id.size && lk.stat.Mtim == s.id.modified
}

// recheck reports whether lk's name still leads to the version that s describes. If so it sets
// checked. For an error it returns false, so that the file is opened again.
func (s *snapshot) recheck(lk *lookup, now int64) bool {
	if s.err != nil || lk.look() != nil || identityOf(&lk.stat) != s.id || uint32(lk.stat.Mode) != s.mode {
		return false
	}
	s.checked.Store(now)
	return true
}

// release makes the cache no holder of the descriptor any more, and frees memory.
func (s *snapshot) release() {
	if s.open != nil {
		s.open.release()
	}
	if s.memory != nil {
		s.memory.free(s.id.size)
	}
}
