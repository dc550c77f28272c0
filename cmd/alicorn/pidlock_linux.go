package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockAccess is the mode in which a file is opened to be locked.
//
// The lock is a write lock of an open file (fcntl's F_OFD_SETLK), which needs a file
// that is open for writing. Everybody who can read a file can lock it with flock, and
// everybody can read the pid file: a server that has ended would seem to run.
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
