//go:build !linux

package osfile

import (
	"io/fs"
	"os"
)

// Own makes the folder and, as root, changes its owner to u. Its entries stay as they are.
func Own(f Folder, u User) error {
	if err := MkdirAll(f.Path, f.Mode); err != nil || os.Geteuid() != 0 || u.UID == 0 {
		return err
	}
	return os.Lchown(f.Path, u.UID, u.GID)
}

// CanOwn returns nil. Errors show when the folder is made.
func CanOwn(Folder, User) error { return nil }

// CanMake returns nil. Errors show when the file is made.
func CanMake(string) error { return nil }

// Adopt returns an error: owners do not change here.
func Adopt(string, User) error { return fs.ErrPermission }
