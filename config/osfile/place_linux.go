package osfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links one path may lead through, as in Linux.
const maxLinks = 40

// place is where a path leads: a name in an open folder.
type place struct {
	path string // the path as the caller gave it
	dir  int    // the descriptor of the folder; close closes it
	// name is the name in the folder. If user is not root, it is the whole rest of the
	// path.
	name string
	user User // the Decider
	// shared says that users other than root may add names to the folder.
	shared bool
	// proc says that the folder is in /proc, where links may lead to files without names.
	// The system itself follows those.
	proc bool
}

func (p *place) close() { unix.Close(p.dir) }

// errorOf returns err with op and the path. err may be nil.
func (p *place) errorOf(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: p.path, Err: err}
}

// find follows path to its end, or until another user than root decides where it leads. It
// does not check that the last name exists.
func find(path string) (*place, error) {
	p := &place{path: path, dir: -1}
	rest, err := partsOf(path)
	if err == nil {
		err = p.enter(unix.AT_FDCWD, "/")
	}
	for links := 0; err == nil; {
		var next []string
		if next, err = p.step(rest); next == nil {
			break
		}
		if len(next) >= len(rest) {
			if links++; links > maxLinks {
				err = unix.ELOOP
			}
		}
		rest = next
	}
	if err != nil {
		if p.dir >= 0 {
			p.close()
		}
		return nil, p.errorOf("open", err)
	}
	return p, nil
}

// partsOf returns the names in path, made absolute. "a/.." stays, as a may be a link.
func partsOf(path string) ([]string, error) {
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = dir + "/" + path
	}
	return strings.Split(strings.Trim(path, "/"), "/"), nil
}

// enter opens the folder name in dir and makes it the current one.
func (p *place) enter(dir int, name string) error {
	fd, err := openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return p.settle(fd)
}

// settle makes the folder fd the current one.
func (p *place) settle(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	if p.dir >= 0 {
		p.close()
	}
	p.dir = fd
	p.shared = st.Mode&unix.S_IWOTH != 0 || st.Mode&unix.S_IWGRP != 0 && st.Gid != 0
	if st.Uid != 0 {
		p.user = UserOf(int(st.Uid))
	}
	var fs unix.Statfs_t
	p.proc = unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC
	return nil
}

// step follows the first name of rest, and returns the rest of the path; nil if p is
// complete.
func (p *place) step(rest []string) ([]string, error) {
	p.name = strings.Join(rest, "/")
	if p.user.UID != 0 {
		return nil, nil
	}
	name := rest[0]
	switch {
	case name == "" || name == ".":
		if len(rest) == 1 {
			p.name = "."
			return nil, nil
		}
		return rest[1:], nil
	case name == "..":
		if len(rest) == 1 {
			return nil, nil
		}
		return rest[1:], p.enter(p.dir, "..")
	}
	fd, err := openat(p.dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT {
		return nil, nil // a file of this name can be made here
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	switch {
	case (p.shared || link) && st.Uid != 0:
		p.user = UserOf(int(st.Uid))
	case link && p.proc:
		unix.Close(fd)
		return p.cross(rest)
	case link:
		defer unix.Close(fd)
		return p.follow(fd, rest[1:])
	case len(rest) > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		err = unix.ENOTDIR
	case len(rest) > 1:
		return rest[1:], p.settle(fd)
	}
	unix.Close(fd)
	return nil, err
}

// follow returns the names of the link's target, and rest behind them.
func (p *place) follow(link int, rest []string) ([]string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", buf)
	if err != nil {
		return nil, err
	}
	target := string(buf[:n])
	if filepath.IsAbs(target) {
		if err := p.enter(unix.AT_FDCWD, "/"); err != nil {
			return nil, err
		}
	}
	return append(strings.Split(strings.Trim(target, "/"), "/"), rest...), nil
}

// cross makes the system follow a link of /proc, which must lead to a folder if the path
// goes on.
func (p *place) cross(rest []string) ([]string, error) {
	if len(rest) == 1 {
		return nil, nil
	}
	fd, err := openat(p.dir, rest[0], unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return rest[1:], p.settle(fd)
}

// missing reports whether a folder on the way to the last name is missing.
func (p *place) missing() bool { return p.user.UID == 0 && strings.Contains(p.name, "/") }

func openat(dir int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// open opens the place.
func (p *place) open(flags int, perm fs.FileMode) (*os.File, error) {
	if p.missing() {
		return nil, p.errorOf("open", unix.ENOENT)
	}
	flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	if p.user.UID == 0 && !p.proc {
		flags |= unix.O_NOFOLLOW // find has followed all links: another user has made a new one
	}
	fd := -1
	err := p.user.Do(func() (err error) {
		fd, err = openat(p.dir, p.name, flags, uint32(perm.Perm()))
		return err
	})
	if err == nil {
		err = p.judge(fd)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, p.errorOf("open", p.user.Denied(err))
	}
	return os.NewFile(uintptr(fd), p.path), nil
}

// judge returns errShared for a file in a shared folder that another user may have put
// there.
func (p *place) judge(fd int) error {
	if !p.shared || p.user.UID != 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink != 1 || st.Uid != 0 {
		return errShared
	}
	return nil
}
