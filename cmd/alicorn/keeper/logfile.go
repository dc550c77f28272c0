package keeper

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// standardStreams are the names of this process's own output. They are not
// opened by name: a service manager's socket cannot be, nor a pipe that root
// made for a container's user.
var standardStreams = map[string]int{
	"/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1,
	"/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}

// openLog opens path for appending. A symbolic link in its last part is
// followed when its owner is root or we: whoever else may write to the
// directory must not choose what root opens. (Debian's images link logs to
// /dev/stdout.)
func openLog(path string) (*os.File, error) {
	if fd, ok := standardStreams[path]; ok {
		return duplicate(fd, path)
	}
	const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW, 0o644)
	if err == nil || !isLoop(err) {
		return f, err
	}
	link, lerr := os.Lstat(path)
	if lerr != nil {
		return nil, lerr
	}
	if owner := link.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errForeignLink}
	}
	if target, err := os.Readlink(path); err == nil && standardStreams[target] > 0 {
		return openLog(target)
	}
	return os.OpenFile(path, flags, 0o644)
}

func duplicate(fd int, path string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(n), path), nil
}

func isLoop(err error) bool {
	pe, ok := err.(*fs.PathError)
	return ok && pe.Err == syscall.ELOOP
}

// links is how many names the file has.
func links(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 0
}
