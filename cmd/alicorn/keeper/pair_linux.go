package keeper

import (
	"golang.org/x/sys/unix"
)

// Supported says that this system can carry the wire between two processes.
const Supported = true

// receiveFlags make received descriptors close on exec.
const receiveFlags = unix.MSG_CMSG_CLOEXEC

// socketPair returns the two ends of a wire that keeps messages apart.
func socketPair() (ours, theirs int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	return p[0], p[1], err
}
