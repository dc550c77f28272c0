package static

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// lookup is one request's way from a path to an open file. It is pooled: its
// buffers are used again, and a file it holds is closed by release.
type lookup struct {
	name []byte // the file's name; see site.appendName
	stat unix.Stat_t
	file file
	buf  []byte // for reading small files
}

// file is what is open. The descriptor is bare because an os.File costs two
// system calls and three allocations more.
type file struct {
	fd       int
	size     int64
	modified int64 // seconds since 1970
	mode     uint32
	sender   *os.File // owns fd once it is not nil
}

const (
	openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	// smallFile is the size up to which a file is read and written with the
	// head in one call; larger ones are sent by the kernel.
	smallFile = 64 << 10
)

var errShrank = errors.New("file shrank while it was sent")

var lookups = sync.Pool{New: func() any { return &lookup{name: make([]byte, 0, 256), file: file{fd: -1}} }}

func newLookup() *lookup { return lookups.Get().(*lookup) }

func (lk *lookup) release() {
	lk.close()
	lk.name = lk.name[:0]
	lookups.Put(lk)
}

func (lk *lookup) close() {
	switch f := &lk.file; {
	case f.sender != nil:
		f.sender.Close()
	case f.fd >= 0:
		unix.Close(f.fd)
	}
	lk.file = file{fd: -1}
}

// open opens the file called lk.name with suffix, without waiting whatever it is.
func (lk *lookup) open(suffix string) error {
	plain := len(lk.name)
	lk.name = append(append(lk.name, suffix...), 0)
	fd, err := openFile(lk.name)
	lk.name = lk.name[:plain]
	if err != nil {
		return err
	}
	lk.file.fd = fd
	if err := unix.Fstat(fd, &lk.stat); err != nil {
		lk.close()
		return err
	}
	lk.file.size, lk.file.mode = lk.stat.Size, uint32(lk.stat.Mode)
	lk.file.modified, _ = lk.stat.Mtim.Unix()
	return nil
}

// test reports whether there is a file called lk.name, and whether it is a folder.
func (lk *lookup) test() (dir bool, err error) {
	for {
		err = unix.Stat(string(lk.name), &lk.stat)
		if err != unix.EINTR {
			break
		}
	}
	return uint32(lk.stat.Mode)&unix.S_IFMT == unix.S_IFDIR, err
}

func (f *file) isDir() bool     { return f.mode&unix.S_IFMT == unix.S_IFDIR }
func (f *file) isRegular() bool { return f.mode&unix.S_IFMT == unix.S_IFREG }

// send writes n bytes of the open file from off.
func (lk *lookup) send(r *proxy.Response, off, n int64) error {
	switch {
	case n == 0 || r.Bodyless():
		return nil
	case n <= smallFile:
		return lk.copy(r, off, int(n))
	}
	f := &lk.file
	if f.sender == nil {
		f.sender = os.NewFile(uintptr(f.fd), string(lk.name))
	}
	return r.SendFile(f.sender, off, n)
}

func (lk *lookup) copy(r *proxy.Response, off int64, n int) error {
	if lk.buf == nil {
		lk.buf = make([]byte, smallFile)
	}
	for have := 0; have < n; {
		m, err := unix.Pread(lk.file.fd, lk.buf[have:n], off+int64(have))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("read", err)
		case m == 0:
			return errShrank
		default:
			have += m
		}
	}
	_, err := r.Write(lk.buf[:n])
	return err
}
