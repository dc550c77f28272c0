package osfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Readable returns an error unless u may read all that is in dir: each folder
// and each regular file; links are not followed. It names what u may not read.
// A folder with more than most entries is refused.
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
