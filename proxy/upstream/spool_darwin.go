package upstream

import "os"

// memoryFile is a file on disk here: macOS has none in memory that another
// process can read.
func memoryFile(string) (*os.File, error) { return named(os.TempDir()) }

func unnamedFile(dir string) (*os.File, error) { return named(dir) }
