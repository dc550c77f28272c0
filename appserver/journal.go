package appserver

import (
	"fmt"
	"maps"
	"strings"
	"sync"
)

// journal has the files that the workers of a version have reported as imported or read,
// with their stamps at that time.
type journal struct {
	mu     sync.Mutex
	loaded map[string]string // the stamps of imported files, by path
	read   map[string]string // the stamps of other files outside of the directory that were read during imports, by path
	size   int               // bytes of all paths and stamps
	doubt  string            // why the files are not known; "": they are
}

// The kinds of entries.
const (
	noteLoaded  = "loaded"
	noteRead    = "read"
	noteMade    = "made"    // the application has made, moved or removed the file
	noteWritten = "written" // it has opened the file for writing
	noteDoubt   = "doubt"   // the worker cannot tell which files it imports; the path is the reason
)

// mostNotes bounds the files of a pool, and those that an app writes. mostNoted bounds
// the bytes of either, since a worker may invent paths.
const (
	mostNotes = 20_000
	mostNoted = 8 << 20
)

// add adds one file. If workers have imported different versions of a file, the journal is
// in doubt.
func (j *journal) add(kind, path, stamp string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	into := &j.loaded
	switch kind {
	case noteLoaded:
	case noteRead:
		into = &j.read
	default:
		j.doubt = strings.Clone(path[:min(len(path), 1000)])
		return
	}
	if *into == nil {
		*into = map[string]string{}
	}
	before, known := (*into)[path]
	switch {
	case known && before != stamp && kind == noteLoaded:
		j.doubt = fmt.Sprintf("its workers have imported different versions of %s", path)
	case !known && len(j.loaded)+len(j.read) >= mostNotes:
		j.doubt = fmt.Sprintf("it has imported more than %d files", mostNotes)
	case j.size+len(path)+len(stamp) > mostNoted:
		j.doubt = fmt.Sprintf("the names of the files that it has imported take more than %d bytes", mostNoted)
	default:
		j.size += len(path) + len(stamp)
		if known {
			j.size -= len(path) + len(before)
		}
		(*into)[path] = stamp
	}
}

// question returns a Survey about the files, or the doubt.
func (j *journal) question() (q Survey, doubt string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Survey{Loaded: maps.Clone(j.loaded), Read: maps.Clone(j.read)}, j.doubt
}

// written has the files that an app writes itself, across all its pools.
type written struct {
	mu    sync.Mutex
	files map[string]bool // true: made, moved or removed, not only opened for writing
	size  int             // bytes of all paths
	many  bool            // there are more files than the bounds allow
}

// wrote records that the app writes a file.
func (s *service) wrote(path string, made bool) {
	w := &s.written
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files == nil {
		w.files = map[string]bool{}
	}
	if _, known := w.files[path]; !known {
		if len(w.files) >= mostNotes || w.size+len(path) > mostNoted {
			w.many = true
			return
		}
		w.size += len(path)
	}
	w.files[path] = w.files[path] || made
}

// writtenBy returns the files that the apps with this directory write; several apps may
// have the same. many says that there are more than the bounds allow.
func (rt *Runtime) writtenBy(directory string) (files map[string]bool, many bool) {
	files = map[string]bool{}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for _, s := range rt.services {
		v := s.version.Load()
		if v == nil || v.app.Directory != directory {
			continue
		}
		s.written.mu.Lock()
		for path, made := range s.written.files {
			files[path] = files[path] || made
		}
		many = many || s.written.many
		s.written.mu.Unlock()
	}
	return files, many
}
