package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// reopen opens the keeper's own logs again, with moved those that were moved or removed. It logs
// no error: the front opens the same files, through the keeper, and logs each.
func (k *Keeper) reopen(moved bool) {
	if _, current := k.readings(); current != nil {
		_ = current.Generation.Resources.Reopen(k.o.Host, moved)
	}
}

// standardStreams are the names of this process's own output. It is not opened
// by name: that fails for a service manager's socket, and for a pipe that root
// made for a container's user.
var standardStreams = map[string]int{
	"/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1,
	"/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}

// openLog opens path for appending, with the rights of the user who decides what
// stands there. Where that is another user than root, path must be a regular file.
func openLog(path string) (f *os.File, decider osfile.User, err error) {
	if fd, ok := standardStream(path); ok {
		f, err := duplicate(fd, path)
		return f, osfile.User{}, err
	}
	f, decider, err = osfile.Append(path, 0o644)
	if err == nil && decider.UID != 0 {
		err = osfile.Regular(f)
	}
	if err != nil && f != nil {
		f.Close()
	}
	if errors.Is(err, unix.ENXIO) {
		err = errUnread
	}
	return f, decider, err
}

// standardStream returns the stream that path names or, as the logs in Debian's
// images do, links to.
func standardStream(path string) (fd int, ok bool) {
	target, err := os.Readlink(path)
	if fd, ok = standardStreams[target]; err == nil && ok {
		return fd, true
	}
	fd, ok = standardStreams[path]
	return fd, ok
}

// CanAppend returns the error that Append would return, as far as can be told
// without making or changing anything. It does not open a pipe, because the
// process that reads it would notice.
func (h *Local) CanAppend(path string) error {
	if _, ok := standardStream(path); ok {
		return nil
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = osfile.CanMake(path)
	case err == nil && (st.Mode().IsRegular() || st.IsDir()):
		var f *os.File
		if f, err = osfile.Open(path, os.O_APPEND|os.O_WRONLY, 0); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot open log %s: %w", path, osfile.Cause(err))
	}
	return nil
}

// errUnread stands for ENXIO, "no such device or address".
var errUnread = errors.New("it is a socket, or a named pipe that no process reads")

func duplicate(fd int, path string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(n), path), nil
}

// links returns how many hard links the file has.
func links(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 0
}
