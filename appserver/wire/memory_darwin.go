package wire

import (
	"io"
	"os"
)

// SealedFile returns an unnamed file with data. Processes that inherit it can change it.
func SealedFile(name string, data []byte) (*os.File, error) {
	f, err := unlinked(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// pageFile returns an unnamed file of size zeros.
func pageFile(size int) (*os.File, error) {
	f, err := unlinked("alicorn-status")
	if err != nil {
		return nil, err
	}
	return f, f.Truncate(int64(size))
}

// unlinked returns a file that has no name any more.
func unlinked(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
