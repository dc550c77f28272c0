package osfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// The largest size of each kind of file, in bytes.
const (
	MaxConfig      = 16 << 20 // a configuration file
	MaxEnvironment = 1 << 20  // an env_file; Linux refuses larger environments
	MaxCredential  = 32 << 20 // certificates, keys, revocation lists, passwords
)

// maxSmall is the largest size, in bytes, of a file with a line or two, such as a pid file.
const maxSmall = 4 << 10

// kinds are names for kinds of files that are not regular.
var kinds = []struct {
	mode fs.FileMode
	name string
}{
	{fs.ModeNamedPipe, "a named pipe"},
	{fs.ModeSocket, "a socket"},
	{fs.ModeDevice, "a device"},
}

// Read returns the content of the regular file at path, which may have at most limit bytes.
// It does not wait for a pipe. The null device counts as an empty file.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case isNull(st):
		return nil, nil
	case st.Size() > limit:
		return nil, tooLarge(path, limit)
	}
	if err := regular(path, st); err != nil {
		return nil, err
	}
	// The size of files in /proc is 0, and a file may grow.
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = tooLarge(path, limit)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// ReadSmall is Read for a file of a line or two.
func ReadSmall(path string) ([]byte, error) { return Read(path, maxSmall) }

func tooLarge(path string, limit int64) error {
	return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("the file is larger than %s", SizeText(limit))}
}

// regular returns an error that names the kind of st, unless it is a regular file.
func regular(path string, st fs.FileInfo) error {
	if st.Mode().IsRegular() {
		return nil
	}
	is := "something else"
	for _, k := range kinds {
		if st.Mode()&k.mode != 0 {
			is = k.name
			break
		}
	}
	err := error(syscall.EISDIR)
	if !st.IsDir() {
		err = errors.New("it is " + is + ", and a regular file is needed")
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// Regular returns an error unless f is a regular file or the null device.
func Regular(f *os.File) error {
	st, err := f.Stat()
	if err != nil || isNull(st) {
		return err
	}
	return regular(f.Name(), st)
}

// isNull reports whether st is the null device, which has no content.
func isNull(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&fs.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	other, ok := null.Sys().(*syscall.Stat_t)
	return ok && sys.Rdev == other.Rdev
}
