package osfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// errShared is returned for a file that another user than root may have put into a folder.
var errShared = errors.New("several users may write to its folder, and another user than root may have put it there")

// errTaken is returned if a socket that was made is not at its path any more.
var errTaken = errors.New("another file has taken the name")

// deniedError is returned if the user whose rights apply has no permission.
type deniedError struct {
	user User
	err  error
}

// Error names that user.
func (e *deniedError) Error() string {
	return fmt.Sprintf("%s for user %q, to whom a folder on the way belongs", e.err, e.user.Name())
}

// Unwrap returns the system's error.
func (e *deniedError) Unwrap() error { return e.err }

// Denied returns err, an error of the function of u.Do. If it is a permission error and u is
// not root, the result names u.
func (u User) Denied(err error) error {
	if u.UID == 0 || !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	return &deniedError{u, Cause(err)}
}

// Cause returns err without the operation and the path, for a message that already has them.
func Cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
