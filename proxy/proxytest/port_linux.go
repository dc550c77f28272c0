package proxytest

import (
	"strconv"
	"syscall"
	"testing"
)

// Port returns a port of 127.0.0.1 on which nobody listens: connections to it are refused until
// a server that the test starts listens on it. Until the test ends the kernel chooses it for
// nobody else, as a socket that does not listen is bound to it. A server can listen beside that
// socket if it sets SO_REUSEADDR, as servers do (socket(7)).
func Port(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(bound.(*syscall.SockaddrInet4).Port)
}
