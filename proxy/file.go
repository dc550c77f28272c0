package proxy

import (
	"errors"
	"io"
)

// File is an open file that a response sends: an *os.File, or a type with a bare
// descriptor, which saves the system calls and the memory of an os.File. The file
// stays open while it is sent.
type File interface {
	io.ReaderAt
	// Fd returns the descriptor, for the kernel to send from.
	Fd() uintptr
}

// ErrFileShrank is returned for a file that ends before the bytes that were asked for.
var ErrFileShrank = errors.New("file shrank while it was sent")

// ReadFile fills p with the bytes of f from off. It returns ErrFileShrank if f has fewer.
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
