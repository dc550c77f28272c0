package osfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bounds of the tree whose owner Own changes.
const (
	maxDepth   = 64
	maxEntries = 1 << 20
)

// Own makes the folder if it is missing, and changes the owner of the folder and of all its
// entries to u, so that a server can change the user that it runs as. Own follows no link.
// It leaves files with several hard links, and root's files in another user's folder, as
// another user may have put them there. A folder that belongs to another program or user
// stays as it is; that is an error if u may not write to it. A process that is not root
// only makes the folder.
func Own(f Folder, u User) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return MkdirAll(f.Path, f.Mode)
	}
	_, err := os.Lstat(f.Path)
	made := errors.Is(err, fs.ErrNotExist)
	if err := MkdirAll(f.Path, f.Mode); err != nil {
		return err
	}
	o, err := openOwned(f, u)
	if err != nil {
		return err
	}
	defer o.dir.Close()
	if ok, err := o.ours(made); err != nil || !ok {
		return err
	}
	if o.decider.UID == 0 || o.decider.UID == u.UID {
		// The entries come first: once u owns the folder, u can exchange them.
		g := giving{user: u, device: o.st.Dev}
		if err := g.entries(o.dir, o.st.Uid == 0, 0); err != nil {
			return err
		}
	}
	if err := o.take(); err != nil {
		return &fs.PathError{Op: "chown", Path: f.Path, Err: err}
	}
	return reach(f.Path, u, unix.W_OK|unix.X_OK)
}

// CanOwn returns the error that Own would return, without a change. In a process that is
// not root, it checks that the process may write to the folder, or make it.
func CanOwn(f Folder, u User) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return reach(existing(f.Path), u, unix.W_OK|unix.X_OK)
	}
	o, err := openOwned(f, u)
	if errors.Is(err, fs.ErrNotExist) {
		return canMake(f.Path, u)
	}
	if err != nil {
		return err
	}
	defer o.dir.Close()
	if ok, err := o.ours(false); err != nil || !ok {
		return err
	}
	if err := unix.Faccessat(unix.AT_FDCWD, f.Path, unix.W_OK, unix.AT_EACCESS); errors.Is(err, unix.EROFS) {
		return &fs.PathError{Op: "chown", Path: f.Path, Err: err}
	}
	return reach(filepath.Dir(f.Path), u, unix.X_OK)
}

// canMake returns an error unless the missing folder at path can be made and u can reach it.
func canMake(path string, u User) error {
	decider, err := Decider(path)
	if err != nil {
		return err
	}
	parent := existing(filepath.Dir(path))
	if err := reach(parent, decider, unix.W_OK|unix.X_OK); err != nil {
		return err
	}
	return reach(parent, u, unix.X_OK)
}

// CanMake returns an error unless the Decider of path can make a file there, and the
// folders on the way. It makes nothing.
func CanMake(path string) error {
	parent := existing(filepath.Dir(path))
	if st, err := os.Stat(parent); err == nil && !st.IsDir() {
		return &fs.PathError{Op: "make", Path: path, Err: unix.ENOTDIR}
	}
	u, err := Decider(path)
	if err != nil {
		return err
	}
	return reach(parent, u, unix.W_OK|unix.X_OK)
}

// existing returns path, or the first folder above it that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// reach returns an error unless u has these rights to the folder.
func reach(path string, u User, rights uint32) error {
	err := u.Do(func() error { return unix.Faccessat(unix.AT_FDCWD, path, rights, unix.AT_EACCESS) })
	if err != nil && u.UID == 0 {
		return &fs.PathError{Op: "use", Path: path, Err: err}
	}
	if err != nil {
		return &unreachableError{path, u, err}
	}
	return nil
}

// owned is an existing folder.
type owned struct {
	Folder
	user    User
	decider User
	dir     *os.File
	st      unix.Stat_t // from before any change
}

func openOwned(f Folder, u User) (*owned, error) {
	p, err := find(f.Path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	o := &owned{Folder: f, user: u, decider: p.user}
	o.dir, err = p.open(unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Fstat(int(o.dir.Fd()), &o.st); err != nil {
		o.dir.Close()
		return nil, &fs.PathError{Op: "stat", Path: f.Path, Err: err}
	}
	return o, nil
}

// ours reports whether the folder's owner must change. If not, the error is nil if the user
// may write to the folder as it is.
func (o *owned) ours(made bool) (bool, error) {
	if made || int(o.st.Uid) == o.user.UID || o.Holds == nil && o.decider.UID == 0 {
		return true, nil
	}
	why := ""
	if o.decider.UID == 0 && o.st.Mode&unix.S_IWOTH == 0 {
		name, err := o.stranger()
		if err != nil {
			return false, &fs.PathError{Op: "read", Path: o.Path, Err: Cause(err)}
		}
		if name == "" {
			return true, nil
		}
		why = fmt.Sprintf(" and holds %q, which the server did not make", name)
	}
	if reach(o.Path, o.user, unix.W_OK|unix.X_OK) == nil {
		return false, nil
	}
	return false, &foreignError{o.Path, UserOf(int(o.st.Uid)), o.user, why}
}

// stranger returns an entry that the server did not make, or "".
func (o *owned) stranger() (string, error) {
	names, err := o.dir.Readdirnames(maxEntries)
	if err != nil && len(names) > 0 || len(names) == 0 {
		err = nil // the error of an empty folder is io.EOF
	}
	if _, serr := o.dir.Seek(0, 0); err == nil {
		err = serr
	}
	for _, name := range names {
		if !o.Holds(name) {
			return name, err
		}
	}
	return "", err
}

// take changes the owner of the folder itself.
func (o *owned) take() error {
	fd, open := int(o.dir.Fd()), o.private() && o.st.Mode&0o077 != 0
	if open {
		// Without CAP_FOWNER only the owner of a folder can change its mode.
		if err := unix.Fchown(fd, 0, -1); err != nil {
			return err
		}
		if err := unix.Fchmod(fd, uint32(o.Mode.Perm())); err != nil {
			return err
		}
	}
	if !open && int(o.st.Uid) == o.user.UID {
		return nil
	}
	return unix.Fchown(fd, o.user.UID, o.user.GID)
}

// giving changes the owner of a tree.
type giving struct {
	user   User
	device uint64 // the file system of the tree, which ends where another is mounted
	count  int
}

// entries changes the owner of the entries of dir. roots says that dir was root's.
func (g *giving) entries(dir *os.File, roots bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("cannot give folder %s to user %q: it is more than %d folders deep", dir.Name(), g.user.Name(), maxDepth)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return &fs.PathError{Op: "read", Path: dir.Name(), Err: Cause(err)}
	}
	for _, name := range names {
		if g.count++; g.count > maxEntries {
			return fmt.Errorf("cannot give folder %s to user %q: there are more than %d files", dir.Name(), g.user.Name(), maxEntries)
		}
		err := g.entry(int(dir.Fd()), filepath.Join(dir.Name(), name), roots, depth)
		if err != nil && !errors.Is(err, unix.ENOENT) { // it may have been removed meanwhile
			return err
		}
	}
	return nil
}

// entry changes the owner of one entry of the folder dir.
func (g *giving) entry(dir int, path string, roots bool, depth int) error {
	name := filepath.Base(path)
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case st.Dev != g.device || st.Uid == 0 && !roots:
		return nil
	case kind != unix.S_IFDIR && (kind != unix.S_IFREG || st.Nlink != 1):
		return nil
	}
	if kind == unix.S_IFDIR {
		if err := g.below(fd, path, st.Uid == 0, depth+1); err != nil {
			return err
		}
	}
	if int(st.Uid) == g.user.UID {
		return nil
	}
	if err := unix.Fchownat(fd, "", g.user.UID, g.user.GID, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return nil
}

// below changes the owner of the entries of the folder fd.
func (g *giving) below(fd int, path string, roots bool, depth int) error {
	// The name may lead to another folder by now.
	list, err := openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(list), path)
	defer f.Close()
	return g.entries(f, roots, depth)
}

// Adopt changes the owner of the regular file at path, below a folder of u, to u.
func Adopt(path string, u User) error {
	if os.Geteuid() != 0 {
		return fs.ErrPermission
	}
	p, err := findLast(path)
	if err != nil {
		return err
	}
	defer p.close()
	var parent unix.Stat_t
	if err := unix.Fstat(p.dir, &parent); err != nil {
		return p.errorOf("stat", err)
	}
	if int(parent.Uid) != u.UID || filepath.Base(p.name) != p.name {
		return p.errorOf("chown", unix.EPERM)
	}
	g := giving{user: u, device: parent.Dev}
	return g.entry(p.dir, path, false, 0)
}
