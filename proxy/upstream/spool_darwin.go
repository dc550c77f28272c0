package upstream

import "os"

// memoryFile returns a file on disk: macOS has no file in memory that another process can
// read.
func memoryFile(string) (*os.File, error) { return named(os.TempDir()) }

func unnamedFile(dir string) (*os.File, error) { return named(dir) }
