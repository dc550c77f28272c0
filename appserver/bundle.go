package appserver

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"alicorn/appserver/wire"
)

//go:embed python/__main__.py python/alicorn/*.py
var pythonFiles embed.FS

// bundle is a file without a name that has the worker's code as a zip. It is made once.
type bundle struct {
	once sync.Once
	file *os.File
	err  error
}

func (b *bundle) open() (*os.File, error) {
	b.once.Do(func() {
		data, err := zipWorker()
		if err == nil {
			b.file, err = wire.SealedFile("alicorn-worker.zip", data)
		}
		if err != nil {
			b.err = fmt.Errorf("cannot prepare the worker's code: %w", err)
		}
	})
	return b.file, b.err
}

func zipWorker() ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	err := fs.WalkDir(pythonFiles, "python", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := pythonFiles.ReadFile(path)
		if err != nil {
			return err
		}
		// Stored, not deflated, for interpreters that are built without zlib.
		f, err := w.CreateHeader(&zip.FileHeader{Name: strings.TrimPrefix(path, "python/"), Method: zip.Store})
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	return buf.Bytes(), err
}
