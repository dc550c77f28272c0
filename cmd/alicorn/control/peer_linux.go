package control

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// FromHere reports whether this process itself is at the other end of a connection to
// the socket.
func FromHere(nc net.Conn) bool {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return false
	}
	here := false
	_ = raw.Control(func(fd uintptr) { // on an error the connection has ended
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		here = err == nil && int(peer.Pid) == os.Getpid()
	})
	return here
}
