package main

import (
	"os"

	"alicorn/config/osfile"
)

// lockFile locks the file at path until the result is closed, or this process
// ends. It returns nil where that cannot be done.
func lockFile(path string) *os.File {
	f, err := osfile.Open(path, lockAccess, 0)
	if err != nil {
		return nil
	}
	if lock(f) != nil {
		f.Close()
		return nil
	}
	return f
}

// isLocked reports whether a running process has locked the file at path.
func isLocked(path string) bool {
	f, err := osfile.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return othersHave(f)
}
