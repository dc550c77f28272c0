package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// lockFile locks the file at path until the result is closed, or this process
// ends. It returns nil where that cannot be done.
//
// The lock is a write lock of an open file (fcntl's F_OFD_SETLK), for which the
// file must be open for writing. A lock of flock's anybody can have who reads
// the file, and the pid file is for all to read: a server would be said to run
// that does not.
func lockFile(path string) *os.File {
	f, err := osfile.Open(path, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock) != nil {
		f.Close()
		return nil
	}
	return f
}

// isLocked reports whether a process that runs has locked the file at path.
func isLocked(path string) bool {
	f, err := osfile.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock) == nil && lock.Type == unix.F_WRLCK
}
