package wire

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SealedFile returns a file in memory with data, which no process can change.
func SealedFile(name string, data []byte) (*os.File, error) {
	f, err := memoryFile(name, unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot seal %s: %w", name, err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// memoryFile returns an empty file in memory.
func memoryFile(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// pageFile returns a file of size zeros for shared memory. It is sealed, so that no process can
// shorten it: reading a map beyond its file's end kills a process.
func pageFile(size int) (*os.File, error) {
	f, err := memoryFile("alicorn-status", unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
