package websocket_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/proxy/websocket/framestest"
)

// mostIdle is how much memory of the front an idle WebSocket in clear text may hold.
const mostIdle = 6 << 10

// TestAnIdleWebSocketHoldsLittleMemory measures what a client without buffers of its own
// adds to the heap and to stacks.
func TestAnIdleWebSocketHoldsLittleMemory(t *testing.T) {
	s := start(t, false, false, "", nil)
	if s.Loops == nil || raceEnabled {
		return // only loops hold little, and the race detector holds more
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
				t.Fatalf("the head ends with %v after %q", err, head)
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
		t.Errorf("an idle WebSocket holds %d bytes, more than %d", got, mostIdle)
	}
}
