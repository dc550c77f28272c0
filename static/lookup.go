package static

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// lookup finds and opens the file of one request. It is pooled: release closes its file and
// keeps its buffers.
type lookup struct {
	name  []byte // the file's name; see site.appendName. It ends in NUL during a call of the system
	from  []byte // names are checked for links behind this beginning; see linkSettings
	links linkRule
	table *validatorTable
	hides *hidden
	stat  unix.Stat_t
	file  file
	lent  bool // a limited sends the file: finish does not release the lookup
}

// file is an open file. It has a bare descriptor, because an os.File costs two more system
// calls and three more allocations.
type file struct {
	fd       int // -1: none, as for a folder in a cache
	size     int64
	modified int64 // seconds since 1970; 0 if snap is set
	mode     uint32
	shared   *descriptor // owns fd, which other requests may use, too; nil: file owns fd
	content  []byte      // all bytes; nil: not in memory
	snap     *snapshot   // the cache's snapshot; nil: none
}

const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC

var lookups = sync.Pool{New: func() any { return &lookup{name: make([]byte, 0, 256), file: file{fd: -1}} }}

func (st *site) newLookup(x *proxy.Exchange) *lookup {
	lk := lookups.Get().(*lookup)
	lk.hides = st.hidden
	if lk.from = lk.from[:0]; st.links.from != nil {
		lk.from = st.links.from.Append(x, lk.from)
	}
	return lk
}

// finish releases lk, unless lk is lent.
func (lk *lookup) finish() {
	if !lk.lent {
		lk.release()
	}
}

func (lk *lookup) release() {
	lk.close()
	lk.lent = false
	lk.name = lk.name[:0]
	lookups.Put(lk)
}

func (lk *lookup) close() {
	switch f := &lk.file; {
	case f.shared != nil:
		f.shared.release()
	case f.fd >= 0:
		unix.Close(f.fd)
	}
	lk.file = file{fd: -1}
}

// open opens the file lk.name with suffix, through the cache if there is one. It does not
// wait, whatever kind of file that is.
func (st *site) open(lk *lookup, suffix string) (err error) {
	plain := len(lk.name)
	lk.name = append(append(lk.name, suffix...), 0)
	lk.links = lk.rule(st.links.kind)
	if c := st.opened.cache; c != nil {
		lk.table = st.table
		err = c.open(lk, &st.opened)
	} else {
		err = lk.openName()
	}
	lk.name = lk.name[:plain]
	return err
}

// key returns the name without its NUL.
func (lk *lookup) key() []byte { return lk.name[:len(lk.name)-1] }

// mostReplaced is how often a name is opened if its file has no name any more. Most such files
// were replaced between opening and checking. Only a link below /proc, to a file that a
// process has open, leads to such a file each time.
const mostReplaced = 20

// openName opens the file with lk's name.
func (lk *lookup) openName() (err error) {
	for range mostReplaced {
		if err = lk.openOnce(); err != errNameless {
			return err
		}
	}
	return err
}

func (lk *lookup) openOnce() error {
	fd, err := lk.links.open(lk.name)
	if err != nil {
		return err
	}
	lk.file.fd = fd
	if err = unix.Fstat(fd, &lk.stat); err == nil {
		err = lk.hides.judge(fd, &lk.stat)
	}
	if err != nil {
		lk.close()
		return err
	}
	lk.file.size, lk.file.mode = lk.stat.Size, uint32(lk.stat.Mode)
	lk.file.modified, _ = lk.stat.Mtim.Unix()
	return nil
}

// look sets lk.stat to that of the name.
func (lk *lookup) look() error {
	if lk.links.kind != linksFollowed {
		fd, err := lk.links.open(lk.name)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fstat(fd, &lk.stat)
	}
	for {
		if err := unix.Stat(string(lk.key()), &lk.stat); err != unix.EINTR {
			return err
		}
	}
}

// test returns an error unless there is a file lk.name; dir reports whether that is a folder.
// As in nginx, it opens the file if there is a cache, since the file is needed next.
func (st *site) test(lk *lookup) (dir bool, err error) {
	if st.opened.cache != nil {
		err = st.open(lk, "")
		dir = lk.file.isDir()
		lk.close()
		return dir, err
	}
	lk.name = append(lk.name, 0)
	lk.links = lk.rule(st.links.kind)
	err = lk.look()
	lk.name = lk.name[:len(lk.name)-1]
	return uint32(lk.stat.Mode)&unix.S_IFMT == unix.S_IFDIR, err
}

func (f *file) isDir() bool     { return f.mode&unix.S_IFMT == unix.S_IFDIR }
func (f *file) isRegular() bool { return f.mode&unix.S_IFMT == unix.S_IFREG }

// send sends n bytes of the open file from off.
func (lk *lookup) send(r *proxy.Response, off, n int64) error {
	f := &lk.file
	switch {
	case n == 0 || r.Bodyless():
		return nil
	case f.content != nil:
		_, err := r.Write(f.content[off : off+n])
		return err
	}
	return r.SendFile(f, off, n)
}

// Fd implements proxy.File.
func (f *file) Fd() uintptr { return uintptr(f.fd) }

// ReadAt implements proxy.File.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, os.NewSyscallError("read", err)
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}
