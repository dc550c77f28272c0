package static

import (
	"errors"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshot is what one look at a file's name found. It does not change, so
// that what a response's head says and the bytes that follow belong together.
type snapshot struct {
	err     error // of the system; the rest is then empty
	id      identity
	mode    uint32
	v       *validators
	open    *descriptor // nil: an error, a folder, or content has every byte
	content []byte      // nil: not in memory
	memory  *memory     // what content is charged to
	checked atomic.Int64
}

// identity tells the versions of what has one name apart.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed unix.Timespec
}

func identityOf(s *unix.Stat_t) identity {
	return identity{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtim, s.Ctim}
}

// newSnapshot describes what lk has opened, or err, and makes lk a holder of
// the descriptor.
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

// lasting reports whether an error says something of the file: not of this
// process, which may have no descriptor left.
func lasting(err error) bool {
	for _, e := range [...]syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR} {
		if errors.Is(err, e) {
			return false
		}
	}
	return true
}

// give makes s what lk has open. ok is false when s is not to be used any
// more: its descriptor is closed, or its file was changed in place.
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

// unchanged reports whether the file that lk holds is still as s says. A
// name's having moved on to another file, which changes the time of the
// inode's change alone, is for recheck to find.
func (s *snapshot) unchanged(lk *lookup) bool {
	return unix.Fstat(lk.file.fd, &lk.stat) == nil && lk.stat.Size == s.id.size && lk.stat.Mtim == s.id.modified
}

// recheck reports whether lk's name leads to what s describes, and notes the
// time. An error is never the same: the file is asked for again.
func (s *snapshot) recheck(lk *lookup, now int64) bool {
	if s.err != nil || lk.look() != nil || identityOf(&lk.stat) != s.id || uint32(lk.stat.Mode) != s.mode {
		return false
	}
	s.checked.Store(now)
	return true
}

// release gives up the cache's share of what s holds.
func (s *snapshot) release() {
	if s.open != nil {
		s.open.release()
	}
	if s.memory != nil {
		s.memory.free(s.id.size)
	}
}
