package osfile

import (
	"errors"
	"io/fs"
	"os"
)

// Name is the name of a file as it was when this process made it: a socket that
// it bound, say. Another process may put a file of its own there later. The
// zero Name is nobody's.
type Name struct {
	path string
	made fs.FileInfo // nil: it could not be seen
}

// NameOf returns the name of the file that this process has just made at path.
func NameOf(path string) Name {
	st, err := os.Lstat(path)
	if err != nil {
		return Name{}
	}
	return Name{path, st}
}

// Ours reports whether the file is still the one that was made. The number of
// a file that is gone may be given to the next one; the time of that differs.
func (n Name) Ours() bool {
	if n.made == nil {
		return false
	}
	st, err := os.Lstat(n.path)
	return err == nil && os.SameFile(st, n.made) && st.ModTime().Equal(n.made.ModTime())
}

// Lost reports whether a file that was seen after it was made is there no more.
// Where that cannot be told it is not lost.
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
		_ = Remove(n.path) // what is left is replaced by who makes the next one
	}
}
