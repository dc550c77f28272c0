package osfile

import (
	"fmt"
	"io/fs"
)

// Folder is a folder that the serving user must be able to write to.
type Folder struct {
	Path string
	// Mode is the mode of a new folder. If it has no rights for other users, an existing
	// folder gets it, too.
	Mode fs.FileMode
	// Holds reports whether the server makes entries of that name. A folder with other
	// entries belongs to another program and stays as it is. If Holds is nil, the folder
	// and all its entries belong to the server.
	Holds func(name string) bool
}

func (f Folder) private() bool { return f.Mode&0o077 == 0 }

// foreignError is returned for a folder that belongs to another user.
type foreignError struct {
	path        string
	owner, user User
	why         string
}

// Error names the owner, and the command that changes it.
func (e *foreignError) Error() string {
	return fmt.Sprintf("folder %s belongs to user %q%s, and user %q may not write to it; \"chown -R %s %s\" gives it to that user",
		e.path, e.owner.Name(), e.why, e.user.Name(), e.user.Name(), e.path)
}

// Unwrap returns fs.ErrPermission.
func (e *foreignError) Unwrap() error { return fs.ErrPermission }

// unreachableError is returned for a folder that its user cannot reach.
type unreachableError struct {
	path string
	user User
	err  error
}

// Error names the user and the folder.
func (e *unreachableError) Error() string {
	return fmt.Sprintf("user %q cannot reach folder %s: %s", e.user.Name(), e.path, e.err)
}

// Unwrap returns the system's error.
func (e *unreachableError) Unwrap() error { return e.err }
