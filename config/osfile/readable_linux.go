package osfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Readable returns an error unless u may read each folder and each regular file in dir. It
// follows no link inside dir. The error names the file that u may not read. A folder with
// more than most entries is an error.
func Readable(dir string, u User, most int) error {
	return u.Do(func() error {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return err
		}
		return filepath.WalkDir(real, func(path string, e fs.DirEntry, err error) error {
			if most--; most < 0 {
				return fmt.Errorf("folder %s holds too many files to look at", real)
			}
			rights := uint32(unix.R_OK)
			switch {
			case err != nil:
				return err
			case e.IsDir():
				rights |= unix.X_OK
			case !e.Type().IsRegular():
				return nil
			}
			if err := unix.Faccessat(unix.AT_FDCWD, path, rights, unix.AT_EACCESS); err != nil && !os.IsNotExist(err) {
				return &fs.PathError{Op: "read", Path: path, Err: err}
			}
			return nil
		})
	})
}

// Barred returns the first folder on the way to path, or path itself, that u may not enter;
// "" if there is none, or path does not exist.
func Barred(path string, u User) (barred string) {
	real, err := filepath.EvalSymlinks(path)
	switch {
	case os.IsPermission(err): // this process itself may not enter a folder on the way
		real = filepath.Clean(path)
	case err != nil:
		return ""
	}
	parts := strings.Split(real, "/")
	_ = u.Do(func() error { // if this process cannot take u's rights, the result is ""
		for i := range parts {
			part := "/" + strings.Join(parts[1:i+1], "/")
			if st, err := os.Stat(part); err == nil && !st.IsDir() {
				return nil
			}
			if unix.Faccessat(unix.AT_FDCWD, part, unix.X_OK, unix.AT_EACCESS) == unix.EACCES {
				barred = part
				return nil
			}
		}
		return nil
	})
	return barred
}

// Unreadable reports whether u may not read the file at path. u is not Barred from it.
func Unreadable(path string, u User) (unreadable bool) {
	_ = u.Do(func() error { // if this process cannot take u's rights, the result is false
		unreadable = unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == unix.EACCES
		return nil
	})
	return unreadable
}
