//go:build unix && !linux

package static

import "golang.org/x/sys/unix"

// searchFlags open a folder within a name. The right to read the folder is needed.
const searchFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

// openFile opens name, which ends in NUL, in the folder dir.
func openFile(dir int, name []byte, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, string(name[:len(name)-1]), flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openWithoutLinks returns false: only Linux has such a call.
func openWithoutLinks(int, []byte) (fd int, ok bool) { return -1, false }

// pathOf returns "": only Linux tells the path.
func pathOf(int) string { return "" }
