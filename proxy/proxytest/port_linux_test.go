package proxytest_test

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

// A port is closed, nobody else is given it, and a server can listen on it.
func TestAPortIsKeptForItsTest(t *testing.T) {
	port := proxytest.Port(t)
	if _, err := net.Dial("tcp4", "127.0.0.1:"+port); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %v", err, syscall.ECONNREFUSED)
	}
	for _, reuse := range []int{0, 1} {
		if err := chosenFrom(t, port, reuse); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("another socket with SO_REUSEADDR %d, which may have this port alone: got %v, want %v", reuse, err, unix.EADDRINUSE)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

// chosenFrom returns the error of a socket that lets the kernel choose its port, of which there
// is one. Before Linux 6.3 the range of ports is not a socket's.
func chosenFrom(t *testing.T, port string, reuse int) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	n, _ := strconv.Atoi(port)
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, reuse),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, n<<16|n)); errors.Is(err, unix.ENOPROTOOPT) {
		return unix.EADDRINUSE
	} else if err != nil {
		t.Fatal(err)
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}
