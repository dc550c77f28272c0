package static

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// searchFlags open a folder within a name. The right to search the folder is enough.
const searchFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// openFile opens name, which ends in NUL, in the folder dir, without copying it.
func openFile(dir int, name []byte, flags int) (int, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), uintptr(flags|unix.O_LARGEFILE), 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// openWithoutLinks opens name, which ends in NUL, in one call. ok is false for any error:
// kernels before 5.6 and some sandboxes do not have the call, and its errors do not say which
// part of the name is a link.
func openWithoutLinks(dir int, name []byte) (fd int, ok bool) {
	if len(name) == 1 {
		return -1, false
	}
	fd, err := unix.Openat2(dir, string(name[:len(name)-1]), &unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_NO_SYMLINKS})
	return fd, err == nil
}

// pathOf returns the path of an open file, without links; "" if the system does not tell it.
func pathOf(fd int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return path
}
