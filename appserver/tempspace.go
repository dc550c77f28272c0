package appserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// tempSpace is temp_space: bytes, or a percentage of the file system.
type tempSpace struct {
	bytes   int64
	percent int
}

func setTempSpace(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		var t tempSpace
		if share, ok := strings.CutSuffix(n.Arg(0), "%"); ok {
			t.percent, err = config.ParseInt(share, 1, 100)
		} else {
			t.bytes, err = config.ParseSizeIn(n.Arg(0), 1, 1<<62)
		}
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "temp_space: " + err.Error()}
		}
		k.In(s).tempSpace = t
		return nil
	}
}

// bytesIn returns the bound for temporary files in dirs, which may not exist yet; 0: no
// bound.
func (t tempSpace) bytesIn(dirs []string) (int64, error) {
	if t.percent == 0 {
		return t.bytes, nil
	}
	var sizes []int64
	for _, dir := range dirs {
		size, err := fileSystemSize(dir)
		if err != nil {
			return 0, fmt.Errorf("cannot find the size of the file system of %q, which temp_space needs: %w", dir, err)
		}
		sizes = append(sizes, size)
	}
	return t.shareOf(sizes), nil
}

// shareOf returns the percentage of the smallest of these file systems: there is one bound
// for all files, and all of them may be in that one. A size of 0 means a file system without
// a bound.
func (t tempSpace) shareOf(sizes []int64) int64 {
	smallest := int64(0)
	for _, size := range sizes {
		if size > 0 && (smallest == 0 || size < smallest) {
			smallest = size
		}
	}
	return (smallest + 99) / 100 * int64(t.percent)
}

// fileSystemSize returns the size of the file system that dir is in, or will be in; 0: it has
// no bound, which a tmpfs may have.
func fileSystemSize(dir string) (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	return int64(st.Blocks) * int64(st.Bsize), err
}

// Temporary returns the folder of temporary files for answers in the location l, and the bound
// of temp_space. It is also for answers of other features, as temp_space is for all temporary
// files.
func (rt *Runtime) Temporary(s *config.Scope, l *proxy.Location) (dir string, space *upstream.Space) {
	dir = rt.key.In(s).tempDir
	RolloutOf(s.Main()).usesTemporary(dir, l.Core.BodyTempPath)
	return dir, &rt.space
}

// TempSpace returns how many bytes temporary files take, and the bound (0: none).
func (rt *Runtime) TempSpace() (used, limit int64) { return rt.space.Use() }
