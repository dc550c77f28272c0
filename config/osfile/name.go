package osfile

import (
	"errors"
	"io/fs"
	"os"
)

// Name is the name of a file that this process has made, such as a socket. It knows which
// file that is: another process may put a file of its own there later. The zero Name is
// that of no file.
type Name struct {
	path string
	made fs.FileInfo // nil: the file was not there after it was made
}

// NameOf returns the name of the file that this process has just made at path.
func NameOf(path string) Name {
	st, err := os.Lstat(path)
	if err != nil {
		return Name{}
	}
	return Name{path, st}
}

// Ours reports whether the name still leads to the file that was made. It also compares
// the time of change: the inode number of a removed file may be used again.
func (n Name) Ours() bool {
	if n.made == nil {
		return false
	}
	st, err := os.Lstat(n.path)
	return err == nil && os.SameFile(st, n.made) && st.ModTime().Equal(n.made.ModTime())
}

// Lost reports whether the name is known not to lead to the file any more.
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
		_ = Remove(n.path) // the next file of this name replaces one that stays
	}
}
