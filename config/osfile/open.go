package osfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// errShared is returned for a name that any of several users may have put there.
var errShared = errors.New("it stands in a folder that several users may write to, and not only root has put it there")

// errTaken is returned when a socket that was made is not at its path any more.
var errTaken = errors.New("another file has taken the name")

// deniedError is a permission that a user whose rights apply does not have.
type deniedError struct {
	user User
	err  error
}

// Error says whose rights were used.
func (e *deniedError) Error() string {
	return fmt.Sprintf("%s for user %q, to whom a folder on the way belongs", e.err, e.user.Name())
}

// Unwrap returns the system's error.
func (e *deniedError) Unwrap() error { return e.err }

// Denied names u in a permission error of what u.Do ran. Of root there is
// nothing to say.
func (u User) Denied(err error) error {
	if u.UID == 0 || !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	return &deniedError{u, Cause(err)}
}

// Cause is err without the operation and the path, which the caller's message names.
func Cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
