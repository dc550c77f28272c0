//go:build unix && !linux

package static

import "golang.org/x/sys/unix"

// openFile opens name, which ends in NUL.
func openFile(name []byte) (int, error) {
	for {
		fd, err := unix.Open(string(name[:len(name)-1]), openFlags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
