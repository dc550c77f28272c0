package appserver

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"alicorn/proxy"
)

// tree has the files below a directory as they are now. It follows links. It leaves out
// __pycache__, whose files are made from others.
type tree struct {
	ours    map[string]bool
	visited map[[2]uint64]bool // folders, by device and inode
	entries []treeEntry
	paths   []string // of entries
}

// treeEntry is one file: hashes of its path, of its identity (device, inode), and of its
// size and times.
type treeEntry struct{ path, file, content uint64 }

const (
	mostFiles = 50_000
	racy      = 20 * time.Millisecond // a file that was changed this recently may change again with the same times
)

// walk adds the files of dir, a path without links.
func (t *tree) walk(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	id := [2]uint64{uint64(st.Dev), uint64(st.Ino)}
	if t.visited[id] || t.ours[dir] {
		return nil
	}
	t.visited[id] = true
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // the application cannot read it either
	}
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	for _, e := range entries {
		if err := t.add(filepath.Join(dir, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) add(path string, e fs.DirEntry) error {
	switch {
	case t.ours[path]:
		return nil
	case e.IsDir():
		if e.Name() == "__pycache__" {
			return nil
		}
		return t.walk(path)
	case e.Type() != 0 && e.Type() != fs.ModeSymlink:
		return nil // sockets and the like have no content
	}
	link := ""
	if e.Type() == fs.ModeSymlink {
		link, _ = os.Readlink(path)
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			t.put(path, link, nil)
			return t.walk(resolved(path))
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.put(path, link, nil) // a link without a target, or a file that was just removed
	} else {
		t.put(path, link, &st)
	}
	if len(t.entries) > mostFiles {
		return fmt.Errorf("there are more than %d files below its directory", mostFiles)
	}
	return nil
}

// put adds one entry.
func (t *tree) put(path, link string, st *syscall.Stat_t) {
	e := treeEntry{path: hashOf(path)}
	if st != nil {
		e.file = hashOf(fmt.Sprint(st.Dev, st.Ino))
		e.content = hashOf(fmt.Sprint(link, st.Size, modified(st), changed(st)))
		if age := time.Now().UnixNano() - changed(st); age >= 0 && age < int64(racy) {
			time.Sleep(racy)
			if syscall.Stat(path, st) == nil {
				e.content = hashOf(fmt.Sprint(link, st.Size, modified(st), changed(st)))
			}
		}
	} else {
		e.content = hashOf(link)
	}
	t.entries = append(t.entries, e)
	t.paths = append(t.paths, path)
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// pack returns the entries as bytes. The result is never empty.
func (t *tree) pack() []byte {
	all := slices.Clone(t.entries)
	slices.SortFunc(all, func(a, b treeEntry) int { return cmp.Compare(a.path, b.path) })
	b := []byte{1}
	for _, e := range all {
		b = binary.LittleEndian.AppendUint64(b, e.path)
		b = binary.LittleEndian.AppendUint64(b, e.file)
		b = binary.LittleEndian.AppendUint64(b, e.content)
	}
	return b
}

func unpack(b []byte) map[uint64]treeEntry {
	all := map[uint64]treeEntry{}
	for b = b[min(1, len(b)):]; len(b) >= 24; b = b[24:] {
		e := treeEntry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
		all[e.path] = e
	}
	return all
}

// compare says what has changed since q's tree was packed, except files that the
// application writes itself; "": nothing.
func (t *tree) compare(q Survey) string {
	before := unpack(q.Tree)
	for i, e := range t.entries {
		old, known := before[e.path]
		delete(before, e.path)
		switch {
		case known && e == old:
		case !known && !q.writes(t.paths[i], false):
			return t.paths[i] + " is new"
		case known && !q.writes(t.paths[i], e.file == old.file):
			return t.paths[i] + " has changed"
		}
	}
	for path := range q.Written {
		delete(before, hashOf(path))
	}
	if len(before) > 0 {
		return proxy.Count(len(before), "file") + " below its directory gone"
	}
	return ""
}
