package static

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// hidden are the folders with private keys and other files that only the server may read. A
// user who may write to a site's folder could put a link to such a file there, which the
// server would follow. A link below /proc/self/fd leads to a request's body, or to any other
// file that the server has open.
type hidden struct {
	user    int      // the user that this process runs as
	folders []string // without links, with a slash at the end
}

// hiddenOf returns the hidden folders of l. find sets them once the whole configuration was
// read.
func hiddenOf(l *config.Load) *hidden {
	return config.Shared(l, func() *hidden { return &hidden{} })
}

func (h *hidden) find(folders []string) {
	h.user = os.Geteuid()
	for _, dir := range folders {
		h.folders = append(h.folders, strings.TrimSuffix(withoutLinks(dir), "/")+"/")
	}
}

// withoutLinks returns the path without links to which dir leads. dir need not exist.
func withoutLinks(dir string) string {
	path, err := filepath.EvalSymlinks(dir)
	if parent := filepath.Dir(dir); err != nil && parent != dir {
		return filepath.Join(withoutLinks(parent), filepath.Base(dir))
	}
	return cmp.Or(path, dir)
}

// errHidden is returned for a file in a hidden folder. It is answered with 403, as is a file
// that the server may not read.
var errHidden = fmt.Errorf("%w: only the server itself may read this file", unix.EACCES)

// errNameless is returned for a file that has no name any more. It is answered with 404.
var errNameless = fmt.Errorf("%w: the file has no name any more", unix.ENOENT)

// judge returns an error if the open file fd is hidden, or has no name any more. It calls the
// system only for a file that has no name, or that the server's user owns and no other user
// has a right to.
func (h *hidden) judge(fd int, st *unix.Stat_t) error {
	if st.Nlink > 0 && (st.Mode&0o077 != 0 || int(st.Uid) != h.user) {
		return nil
	}
	path := pathOf(fd)
	if st.Nlink == 0 && strings.HasSuffix(path, " (deleted)") {
		return errNameless
	}
	for _, dir := range h.folders {
		if strings.HasPrefix(path+"/", dir) {
			return errHidden
		}
	}
	return nil
}

// judgeFolder is judge for an open folder.
func (h *hidden) judgeFolder(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	return h.judge(int(f.Fd()), &st)
}
