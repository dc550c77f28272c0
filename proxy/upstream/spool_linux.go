package upstream

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// unnamedFile opens a new file without a name in the folder dir. It uses unix.Open because
// os.OpenFile makes five more system calls, to learn that a poller cannot watch the file.
func unnamedFile(dir string) (*os.File, error) {
	for {
		fd, err := unix.Open(dir, unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), dir), nil
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.EISDIR:
			return named(dir)
		default:
			return nil, &os.PathError{Op: "open", Path: dir, Err: err}
		}
	}
}
