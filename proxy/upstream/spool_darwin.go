package upstream

import (
	"io"
	"os"
)

// memoryFile returns a file on disk: macOS has no file in memory that another process can
// read.
func memoryFile(string) (*os.File, error) { return named(os.TempDir()) }

// frozen returns f at position 0. On macOS, which is for development, those who get its descriptor
// can change it.
func frozen(f *os.File, _ bool) (*os.File, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func unnamedFile(dir string) (*os.File, error) { return named(dir) }
