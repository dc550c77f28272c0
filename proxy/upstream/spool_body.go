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

// Body is a request body that has been read completely: Inline, Shared or a
// file.
type Body struct {
	Inline []byte   // valid until Close
	Shared []byte   // a block of a Blocks, at Offset, until Close
	File   *os.File // position 0; nil when the body is not in a file
	Offset int64
	Length int64

	block  *[]byte
	shared Blocks
	space  *Space // where the file's bytes on disk count
	onDisk int64
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

// ReadShared reads x's request body into a block of s, if its length is known,
// more than inline and at most memory, and there is a block for it: done says
// so. Errors of x.ReadBody are returned as they are.
func (b *Body) ReadShared(x *proxy.Exchange, s Blocks, inline int, memory int64) (done bool, err error) {
	n := x.Req.ContentLength
	if n <= int64(inline) || n > memory {
		return false, nil
	}
	block, offset := s.Take(n)
	if block == nil {
		return false, nil
	}
	b.Shared, b.Offset, b.shared, b.Length = block, offset, s, n
	if m, err := fill(x, block); err != nil && (err != io.EOF || int64(m) < n) {
		return true, err
	}
	return true, nil
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

// ReadBody reads x's request body: up to inline bytes (64 KiB at most) into
// memory of this process, up to memory bytes into a file in memory, more into
// an unnamed file in dir, which is made when it is missing, as long as space has
// room for it: without that the answer is 413. Errors of x.ReadBody are returned
// as they are. The caller closes b also after errors.
func (b *Body) ReadBody(x *proxy.Exchange, inline int, memory int64, dir string, space *Space) error {
	if x.Req.ContentLength == 0 && !x.Req.Chunked {
		return nil
	}
	if x.Req.ContentLength > memory {
		if err := space.fits(x.Req.ContentLength); err != nil {
			return err // before it is sent
		}
	}
	b.block = blocks.Get().(*[]byte)
	buf := *b.block
	inline = min(inline, len(buf), int(min(memory, int64(len(buf)))))
	n, err := fill(x, buf)
	b.Length = int64(n)
	if err == io.EOF && n <= inline {
		b.Inline = buf[:n]
		return nil
	}
	if err != nil && err != io.EOF {
		return err
	}
	s := spool{memory: memory, dir: dir, known: x.Req.ContentLength, space: space, offload: x.Offload}
	for {
		if werr := s.write(buf[:n]); werr != nil {
			s.close()
			return werr
		}
		if err == io.EOF {
			break
		}
		if n, err = fill(x, buf); err != nil && err != io.EOF {
			s.close()
			return err
		}
		b.Length += int64(n)
	}
	b.File, b.space, b.onDisk = s.file, space, s.onDisk
	return s.rewind()
}

// fill reads until p is full or the body ends, which is io.EOF, or fails.
func fill(x *proxy.Exchange, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := x.ReadBody(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
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

func (s *spool) rewind() error {
	_, err := s.file.Seek(0, io.SeekStart)
	return err
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
	s.space.give(s.onDisk)
	s.onDisk = 0
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
