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

// Body is a request body: Inline, Shared or a file, once Read has returned nil.
type Body struct {
	Inline []byte   // valid until Close
	Shared []byte   // a block of a Blocks, at Offset, until Close
	File   *os.File // position 0; nil when the body is not in a file
	Offset int64
	Length int64

	// While it is read:
	into   []byte // what bytes are read into; nil before the first Read
	filled int    // of into
	spool  spool  // what into had no room for

	block  *[]byte
	shared Blocks
	space  *Space // where the file's bytes on disk count
	onDisk int64
}

// Storage is where request bodies are kept.
type Storage struct {
	// Shared has blocks for bodies of known length with more than ShareFrom and at most
	// Memory bytes, as long as there are free ones. nil: there are none.
	Shared    Blocks
	ShareFrom int
	Inline    int    // bytes that are kept in memory of this process, 64 KiB at most
	Memory    int64  // bytes that are kept in a file in memory
	Dir       string // of unnamed files with more; it is made when it is missing
	Space     *Space // has room for them, else the answer is 413
}

// Blocks is memory that is shared with the receivers of bodies.
type Blocks interface {
	// Take returns a block for size bytes and where it is in the memory; nil
	// when there is none.
	Take(size int64) (block []byte, offset int64)
	// Give takes the block at offset back.
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

// Unshare moves a body in shared memory to a file in memory: those that the
// memory is shared with are not to have it any more.
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

// Read reads x's request body into s. It returns proxy.ErrNotYet while the client has
// not sent all of it: the caller suspends x, and calls Read again. Other errors of
// x.TryReadBody are returned as they are. The caller closes b also after errors.
func (b *Body) Read(x *proxy.Exchange, s *Storage) error {
	err := b.read(x, s)
	if err != nil && err != proxy.ErrNotYet {
		b.spool.close() // others may need the space
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

// begin decides where x's body is read to.
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
			return err // before it is sent
		}
	}
	b.block = blocks.Get().(*[]byte)
	b.into = *b.block
	b.spool = spool{memory: s.Memory, dir: s.Dir, known: n, space: s.Space}
	return nil
}

// fill reads until into is full or the body ends, which is io.EOF, or fails.
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

// finish makes what was spooled the body.
func (b *Body) finish() error {
	b.File, b.space, b.onDisk = b.spool.file, b.spool.space, b.spool.onDisk
	b.spool = spool{}
	_, err := b.File.Seek(0, io.SeekStart)
	return err
}

// spool is a file being written that moves from memory to disk when it grows.
type spool struct {
	memory int64
	dir    string
	known  int64 // the length to come, -1 when unknown
	file   *os.File
	size   int64
	disk   bool
	space  *Space
	onDisk int64 // bytes taken of space
	// offload runs a write that may wait for the disk.
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

// append writes p at the end of the file, which is made where there is none.
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

// TempFile returns a new file without a name in dir ("": the system's folder
// for temporary files). A missing dir is made, for this process alone.
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

// named makes a file and removes its name, where the system cannot make one without.
func named(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "alicorn-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// Memory returns a file in memory with data, at position 0.
func Memory(data []byte) (*os.File, error) {
	f, err := memoryFile("alicorn-data")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
