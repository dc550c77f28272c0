package static

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy"
)

// memory is an open_file_cache_memory directive.
type memory struct {
	max, file int64 // bytes: of all files together, and of the largest file
	used      atomic.Int64
}

const (
	defaultMemory     = 16 << 20
	defaultMemoryFile = 64 << 10
)

func (m *memory) reserve(n int64) bool {
	if m.used.Add(n) <= m.max {
		return true
	}
	m.used.Add(-n)
	return false
}

func (m *memory) free(n int64) { m.used.Add(-n) }

// settled is how long a file must be unchanged before its bytes are kept. Two changes within
// the time resolution of the file system look like one; the coarsest resolution in use is two
// seconds.
const settled = 2 * time.Second

// suits reports whether the file that s describes may be kept in m.
func (m *memory) suits(s *snapshot) bool {
	if m.max == 0 || s.open == nil || s.mode&unix.S_IFMT != unix.S_IFREG || s.id.size > m.file {
		return false
	}
	age := time.Since(time.Unix(s.id.modified.Unix()))
	return age < 0 || age > settled
}

// readWhole reads all bytes of the file that lk has open. ok is false if that is not, or no
// longer, the version that s describes.
func (s *snapshot) readWhole(lk *lookup) (content []byte, ok bool) {
	content = make([]byte, s.id.size)
	if err := proxy.ReadFile(&lk.file, content, 0); err != nil {
		return nil, false
	}
	return content, s.unchanged(lk)
}

// remembered returns a copy of s with content, which counts against m, and without a
// descriptor.
func (s *snapshot) remembered(content []byte, m *memory) *snapshot {
	t := &snapshot{id: s.id, mode: s.mode, v: s.v, content: content, memory: m}
	t.checked.Store(s.checked.Load())
	return t
}
