package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockAccess is what a file is opened for to be locked.
//
// The lock is a write lock of an open file (fcntl's F_OFD_SETLK), for which the
// file must be open for writing. A lock of flock's anybody can have who reads
// the file, and the pid file is for all to read: a server would be said to run
// that does not.
const lockAccess = os.O_RDWR

// lock locks f without waiting.
func lock(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
}

// othersHave reports whether the file of f is locked by another open file.
func othersHave(f *os.File) bool {
	l := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type == unix.F_WRLCK
}
