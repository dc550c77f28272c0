package static

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFile opens name, which ends in NUL, without copying it.
func openFile(name []byte) (int, error) {
	dir := unix.AT_FDCWD
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), openFlags|unix.O_LARGEFILE, 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}
