package upstream

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile returns an empty file in memory.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// frozen returns f, which is complete, at position 0, so that those who get its descriptor cannot
// change it or make it longer. disk says that it is on disk. It closes f if it returns another
// file or an error.
func frozen(f *os.File, disk bool) (*os.File, error) {
	if !disk {
		const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, all)
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot seal a file in memory: %w", err)
		}
		return f, nil
	}
	defer f.Close()
	for {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), f.Name()), nil
		case unix.EINTR:
		default:
			return nil, fmt.Errorf("cannot open a temporary file for reading: %w", err)
		}
	}
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
