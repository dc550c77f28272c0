package websocket_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/proxy/websocket/framestest"
)

// mostIdle bounds the memory of an idle WebSocket in clear text, in bytes.
const mostIdle = 6 << 10

// The clients are bare sockets, so that the heap and the stacks grow only by the server's
// memory.
func TestAnIdleWebSocketHoldsLittleMemory(t *testing.T) {
	s := start(t, false, false, "", nil)
	if s.Loops == nil || raceEnabled {
		return // goroutines and the race detector need more memory
	}
	to := s.connect(t).RemoteAddr().(*net.TCPAddr)
	const n = 400
	open := func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
			t.Fatal(err)
		}
		unix.Write(fd, []byte(request+"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"))
		for head := ""; !strings.HasSuffix(head, "\r\n\r\n"); {
			var b [1]byte
			if n, err := unix.Read(fd, b[:]); n != 1 {
				t.Fatalf("got %q, then %v, want a head", head, err)
			}
			head += string(b[:])
		}
		unix.Write(fd, framestest.Frame(text, "hello"))
		var b [7]byte
		unix.Read(fd, b[:])
	}
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	open()
	before := used()
	for range n {
		open()
	}
	got := (used() - before) / n
	if got > mostIdle {
		t.Errorf("got %d bytes per idle WebSocket, want at most %d", got, mostIdle)
	}
}
