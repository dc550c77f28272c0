package appserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
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

// bytesIn returns the bound where temporary files are in dir, which need not be
// there yet.
func (t tempSpace) bytesIn(dir string) (int64, error) {
	if t.percent == 0 {
		return t.bytes, nil
	}
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot tell the size of the file system of %q, of which temp_space is a share: %w", dir, err)
	}
	return int64(st.Blocks) / 100 * int64(st.Bsize) * int64(t.percent), nil
}

// TempSpace returns how many bytes temporary files take, and the bound.
func (rt *Runtime) TempSpace() (used, limit int64) { return rt.space.Use() }
