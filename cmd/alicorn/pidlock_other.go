//go:build !linux

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"alicorn/config/osfile"
)

// lockFile locks the file at path until the result is closed, or this process
// ends. It returns nil where that cannot be done.
func lockFile(path string) *os.File {
	f, err := osfile.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
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
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
