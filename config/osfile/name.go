package osfile

import (
	"errors"
	"io/fs"
	"os"
)

// Name is the name of a file that this process made, such as a socket that it
// bound, and remembers which file that was: another process may put a file of
// its own there later. The zero Name stands for no file.
type Name struct {
	path string
	made fs.FileInfo // nil: the file could not be seen after it was made
}

// NameOf returns the name of the file that this process has just made at path.
func NameOf(path string) Name {
	st, err := os.Lstat(path)
	if err != nil {
		return Name{}
	}
	return Name{path, st}
}

// Ours reports whether the name still stands for the file that was made. It
// compares the time of change too: the inode number of a removed file may be
// used again.
func (n Name) Ours() bool {
	if n.made == nil {
		return false
	}
	st, err := os.Lstat(n.path)
	return err == nil && os.SameFile(st, n.made) && st.ModTime().Equal(n.made.ModTime())
}

// Lost reports whether the file that was made is gone from its name. It is not
// lost where that cannot be told.
func (n Name) Lost() bool {
	if n.made == nil || n.Ours() {
		return false
	}
	_, err := os.Lstat(n.path)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// Remove removes the file if it is Ours.
func (n Name) Remove() {
	if n.Ours() {
		_ = Remove(n.path) // a name that stays is replaced when the next one is made
	}
}
