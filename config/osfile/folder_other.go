//go:build !linux

package osfile

import (
	"io/fs"
	"os"
)

// Own makes the folder and, as root, gives it to u. What is in it stays as it is.
func Own(f Folder, u User) error {
	if err := MkdirAll(f.Path, f.Mode); err != nil || os.Geteuid() != 0 || u.UID == 0 {
		return err
	}
	return os.Lchown(f.Path, u.UID, u.GID)
}

// CanOwn returns nil: what cannot be made shows when it is.
func CanOwn(Folder, User) error { return nil }

// CanMake judges nothing here.
func CanMake(string) error { return nil }

// Adopt returns an error: files are not given.
func Adopt(string, User) error { return fs.ErrPermission }
