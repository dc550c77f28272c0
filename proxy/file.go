package proxy

import (
	"errors"
	"io"
)

// File is an open file that a response sends: an *os.File, or what has a bare
// descriptor, as an os.File costs system calls and memory of its own. It stays
// open while it is sent.
type File interface {
	io.ReaderAt
	// Fd returns the descriptor, for the kernel to send from.
	Fd() uintptr
}

// ErrFileShrank is a file that ended before what was asked of it.
var ErrFileShrank = errors.New("file shrank while it was sent")

// ReadFile fills p from f at off. It returns ErrFileShrank when f ends before.
func ReadFile(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return ErrFileShrank
	}
	return err
}
