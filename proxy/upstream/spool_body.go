package upstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"alicorn/config"
	"alicorn/proxy"
)

// Body is a request body. After Read has returned nil it is in Inline, Shared or File.
type Body struct {
	Inline []byte   // valid until Close
	Shared []byte   // a block of Storage.Shared; valid until Close
	File   *os.File // at position 0, frozen; nil: the body is not in a file
	Offset int64    // of Shared in its memory
	Length int64

	// While Read reads:
	into   []byte // the buffer; nil before the first Read
	filled int    // bytes in into
	spool  spool  // the bytes before those in into

	block  *[]byte // the memory of Inline
	shared Blocks  // the owner of Shared
	space  *Space  // counts the file's bytes on disk
	onDisk int64   // bytes taken of space
}

// Storage is where request bodies are kept.
type Storage struct {
	// Shared has blocks for bodies of known length with more than ShareFrom and at most
	// Memory bytes. nil, or no free block: such a body goes where others go.
	Shared    Blocks
	ShareFrom int
	Inline    int    // the largest body in memory of this process, at most 64 KiB
	Memory    int64  // the largest body in a file in memory, in bytes
	Dir       string // the folder of files with larger bodies; it is made if it is missing
	Space     *Space // bounds these files; beyond it the answer is 413
}

// Blocks is memory that is shared with the receivers of bodies.
type Blocks interface {
	// Take returns a block for size bytes and its offset in the memory; nil if none is
	// free.
	Take(size int64) (block []byte, offset int64)
	// Give takes back the block at offset.
	Give(offset int64)
}

var blocks = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// Close releases what the body holds.
func (b *Body) Close() {
	b.spool.close()
	if b.File != nil {
		b.File.Close()
	}
	b.space.give(b.onDisk)
	if b.block != nil {
		blocks.Put(b.block)
	}
	if b.Shared != nil {
		b.shared.Give(b.Offset)
	}
	*b = Body{}
}

// Unshare moves a body in shared memory to a file in memory, so that nobody with whom the
// memory is shared can change it.
func (b *Body) Unshare() error {
	if b.Shared == nil {
		return nil
	}
	f, err := Memory(b.Shared)
	if err != nil {
		return err
	}
	b.shared.Give(b.Offset)
	b.Shared, b.shared, b.Offset, b.File = nil, nil, 0, f
	return nil
}

// Read reads x's request body and keeps it where s says. It returns proxy.ErrNotYet until
// the client has sent all of it: the caller suspends x, and calls Read again. Other errors
// of x.TryReadBody are returned unchanged. The caller closes b also after an error.
func (b *Body) Read(x *proxy.Exchange, s *Storage) error {
	err := b.read(x, s)
	if err != nil && err != proxy.ErrNotYet {
		b.spool.close() // at once, as others may need the space
		x.KeepBody(lost{err})
	}
	return err
}

func (b *Body) read(x *proxy.Exchange, s *Storage) error {
	if b.into == nil {
		if x.Req.ContentLength == 0 && !x.Req.Chunked {
			return nil
		}
		if err := b.begin(x, s); err != nil {
			return err
		}
	}
	for {
		err := b.fill(x)
		if err != nil && err != io.EOF {
			return err
		}
		switch {
		case b.Shared != nil:
			if int64(b.filled) < b.Length {
				return err
			}
			return nil
		case err == io.EOF && b.spool.file == nil && b.filled <= s.inline():
			b.Inline, b.Length = b.into[:b.filled], int64(b.filled)
			return nil
		}
		if b.spool.offload == nil {
			b.spool.offload = x.Offload
		}
		if err := b.spool.write(b.into[:b.filled]); err != nil {
			return err
		}
		b.Length += int64(b.filled)
		b.filled = 0
		if err == io.EOF {
			return b.finish()
		}
	}
}

func (s *Storage) inline() int { return int(min(int64(s.Inline), s.Memory)) }

// begin chooses where x's body is read to.
func (b *Body) begin(x *proxy.Exchange, s *Storage) error {
	n := x.Req.ContentLength
	if s.Shared != nil && n > int64(s.ShareFrom) && n <= s.Memory {
		if block, offset := s.Shared.Take(n); block != nil {
			b.Shared, b.Offset, b.shared, b.Length = block, offset, s.Shared, n
			b.into = block
			return nil
		}
	}
	if n > s.Memory {
		if err := s.Space.fits(n); err != nil {
			return err // before the client sends the body
		}
	}
	b.block = blocks.Get().(*[]byte)
	b.into = *b.block
	b.spool = spool{memory: s.Memory, dir: s.Dir, known: n, space: s.Space}
	return nil
}

// fill reads until into is full, or until an error, which is io.EOF at the body's end.
func (b *Body) fill(x *proxy.Exchange) error {
	for b.filled < len(b.into) {
		n, err := x.TryReadBody(b.into[b.filled:])
		b.filled += n
		if err != nil {
			return err
		}
	}
	return nil
}

// finish makes the spooled file the body.
func (b *Body) finish() (err error) {
	file, disk := b.spool.file, b.spool.disk
	b.space, b.onDisk = b.spool.space, b.spool.onDisk
	b.spool = spool{}
	b.File, err = frozen(file, disk)
	return err
}

// spool writes a file in memory, and moves it to disk once it has more than memory bytes.
type spool struct {
	memory int64
	dir    string
	known  int64 // the length of the body; -1: unknown
	file   *os.File
	size   int64
	disk   bool // file is on disk
	space  *Space
	onDisk int64 // bytes taken of space
	// offload runs a write that may wait for the disk, while its goroutine leads no loop.
	offload func(func())
}

func (s *spool) write(p []byte) error {
	size := int64(len(p))
	moves := s.file != nil && !s.disk && s.size+size > s.memory
	if s.file == nil {
		s.disk = max(s.known, size) > s.memory
	}
	if !s.disk && !moves {
		return s.append(p)
	}
	var err error
	s.offload(func() {
		if err = s.take(size); err == nil && moves {
			err = s.toDisk()
		}
		if err == nil {
			err = s.append(p)
		}
	})
	return err
}

// append writes p to the end of the file, which it makes if there is none.
func (s *spool) append(p []byte) error {
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return fmt.Errorf("cannot write a request body to %q: %w", s.dir, err)
	}
	return nil
}

// take takes n bytes of the space for temporary files.
func (s *spool) take(n int64) error {
	if err := s.space.take(n); err != nil {
		return err
	}
	s.onDisk += n
	return nil
}

func (s *spool) open() (err error) {
	if s.disk {
		s.file, err = TempFile(s.dir)
	} else {
		s.file, err = memoryFile("alicorn-body")
	}
	return err
}

func (s *spool) toDisk() error {
	mem := s.file
	defer mem.Close()
	if _, err := mem.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.disk = true
	err := s.take(s.size)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		s.file = nil
		return err
	}
	if _, err := io.Copy(s.file, mem); err != nil {
		return fmt.Errorf("cannot write a request body to %q: %w", s.dir, err)
	}
	return nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
	s.space.give(s.onDisk)
	*s = spool{}
}

// TempFile returns a new file without a name in dir ("": the system's folder for temporary
// files). A missing dir is made, with access for its user only.
func TempFile(dir string) (*os.File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := unnamedFile(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the folder for temporary files %q is missing and cannot be made: %w; a start or a reload by root makes it", filepath.Clean(dir), config.Cause(err))
		}
		f, err = unnamedFile(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file in %q: %w", filepath.Clean(dir), err)
	}
	return f, nil
}

// named makes a file and removes its name, for systems that cannot make one without a name.
func named(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "alicorn-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// Memory returns a file in memory that contains data, at position 0. Those who get its descriptor
// cannot change it.
func Memory(data []byte) (*os.File, error) {
	f, err := memoryFile("alicorn-data")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	return frozen(f, false)
}
