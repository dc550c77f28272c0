package osfile

import (
	"fmt"
	"io/fs"
)

// Folder is a folder that a server without privileges is to write to.
type Folder struct {
	Path string
	// Mode is a new folder's. Without rights for others it is also that of a
	// folder which is there already.
	Mode fs.FileMode
	// Holds reports whether the server makes entries of that name. A folder
	// with other entries belongs to somebody else and is not taken. nil: the
	// folder is the server's, whatever it holds.
	Holds func(name string) bool
}

func (f Folder) private() bool { return f.Mode&0o077 == 0 }

// foreignError is returned for a folder that is not taken.
type foreignError struct {
	path        string
	owner, user User
	why         string
}

// Error says whose folder it is and how to change that.
func (e *foreignError) Error() string {
	return fmt.Sprintf("folder %s belongs to user %q%s, and user %q may not write to it; \"chown -R %s %s\" gives it to that user",
		e.path, e.owner.Name(), e.why, e.user.Name(), e.user.Name(), e.path)
}

// Unwrap makes it a refused permission.
func (e *foreignError) Unwrap() error { return fs.ErrPermission }

// unreachableError is returned for a folder below one that its user may not pass.
type unreachableError struct {
	path string
	user User
	err  error
}

// Error says who does not reach what.
func (e *unreachableError) Error() string {
	return fmt.Sprintf("user %q does not reach folder %s: %s", e.user.Name(), e.path, e.err)
}

// Unwrap returns the system's error.
func (e *unreachableError) Unwrap() error { return e.err }
