package osfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens path as os.OpenFile does, with the rights of its Decider. It does not wait for
// a pipe's other end. In folders of root it follows only links of root.
func Open(path string, flags int, perm fs.FileMode) (*os.File, error) {
	if os.Geteuid() != 0 {
		return os.OpenFile(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY, perm)
	}
	p, err := find(path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return p.open(flags, perm)
}

// Append opens path for appending, and makes the file if it is missing. It returns the user
// whose rights it has used; see Decider.
func Append(path string, perm fs.FileMode) (f *os.File, decider User, err error) {
	const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY
	if os.Geteuid() != 0 {
		f, err = Open(path, flags, perm)
		return f, User{}, err
	}
	p, err := find(path)
	if err != nil {
		return nil, User{}, err
	}
	defer p.close()
	f, err = p.open(flags, perm)
	return f, p.user, err
}

// Do runs f with the rights of the Decider of path. f uses the path as it is. If path is a
// link to a missing file, f must not make that file.
func Do(path string, f func() error) error {
	u, err := Decider(path)
	if err != nil {
		return err
	}
	return u.Do(f)
}

// Decider returns the user who decides which file is at path. That is root if only root may
// change the folders on the way, and in a process that is not root.
func Decider(path string) (User, error) {
	if os.Geteuid() != 0 {
		return User{}, nil
	}
	p, err := find(path)
	if err != nil {
		return User{}, err
	}
	defer p.close()
	return p.user, nil
}

// MkdirAll makes the folder path, and those on the way, as os.MkdirAll does. Below a folder
// of another user it makes them with that user's rights, so that they belong to that user.
func MkdirAll(path string, perm fs.FileMode) error {
	if os.Geteuid() != 0 {
		return os.MkdirAll(path, perm)
	}
	for range strings.Count(filepath.Clean(path), "/") + maxLinks {
		done, err := makeNext(path, perm)
		if done || err != nil {
			return err
		}
	}
	return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ELOOP}
}

// makeNext makes the first folder of path that is missing.
func makeNext(path string, perm fs.FileMode) (done bool, err error) {
	p, err := find(path)
	if err != nil {
		return false, err
	}
	defer p.close()
	if p.user.UID != 0 {
		err := p.user.Do(func() error { return os.MkdirAll(path, perm) })
		return true, p.errorOf("mkdir", p.user.Denied(err))
	}
	first, _, more := strings.Cut(p.name, "/")
	if more {
		perm = 0o755
	}
	if err := unix.Mkdirat(p.dir, first, uint32(perm.Perm())); err != nil && err != unix.EEXIST {
		return false, p.errorOf("mkdir", err)
	}
	if more {
		return false, nil
	}
	f, err := p.open(unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == nil {
		f.Close()
	}
	return true, err
}

// Remove removes the file at path. It does not remove a folder.
func Remove(path string) error {
	if os.Geteuid() != 0 {
		return os.Remove(path)
	}
	p, err := findLast(path)
	if err != nil {
		return err
	}
	defer p.close()
	err = p.user.Do(func() error { return unix.Unlinkat(p.dir, p.name, 0) })
	return p.errorOf("remove", p.user.Denied(err))
}

// findLast finds the place of path's last name. It does not follow a link at that name.
func findLast(path string) (*place, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p, err := find(filepath.Dir(abs) + "/.") // the folder itself, if it is a link too
	if err != nil {
		return nil, err
	}
	switch {
	case p.missing():
		p.close()
		return nil, p.errorOf("open", unix.ENOENT)
	case p.name == ".":
		p.name = filepath.Base(abs)
	default:
		p.name = strings.TrimSuffix(p.name, ".") + filepath.Base(abs)
	}
	p.path = path
	return p, nil
}

// Chmod changes the mode of the socket at path, which this process has just made. If
// another file is there now, Chmod leaves it alone.
func Chmod(path string, mode fs.FileMode) error {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	uid, _ := unix.SetfsuidRetUid(unchanged)
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != uid {
		return &fs.PathError{Op: "chmod", Path: path, Err: errTaken}
	}
	return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// GiveSocket changes the owner of the socket at path, which this process has just made, to
// u. If another file is there now, GiveSocket leaves it alone.
func GiveSocket(path string, u User) error {
	if os.Geteuid() != 0 {
		return nil
	}
	p, err := findLast(path)
	if err != nil {
		return err
	}
	defer p.close()
	var fd int
	err = p.user.Do(func() (err error) {
		fd, err = openat(p.dir, p.name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return p.errorOf("open", p.user.Denied(err))
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return p.errorOf("stat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != p.user.UID {
		return p.errorOf("chown", errTaken)
	}
	return p.errorOf("chown", unix.Fchownat(fd, "", u.UID, u.GID, unix.AT_EMPTY_PATH))
}
