package pool

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/wire"
)

// lingeringFile returns a socket whose close waits until release is called.
func lingeringFile(t *testing.T) (f *os.File, release func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(fd, true)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 64<<10))
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 1000}); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "lingering socket"), func() { l.Close() }
}

func TestNoRequestWaitsForTheCloseOfAWorkersFile(t *testing.T) {
	t.Parallel()
	f, release := lingeringFile(t)
	defer release()
	p := &Pool{}
	j := &Job{}
	j.by, j.File = &worker{pool: p}, f
	j.DiscardFile()
	if n := p.closing.Load(); n != 1 || j.File != nil {
		t.Errorf("got %d files that are being closed, and File %v; want 1 and none", n, j.File)
	}
	release()
	for p.closing.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestFilesThatAreNotClosedAreBounded(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p := &Pool{o: Options{ParseHead: func(string) (*Head, error) { return &Head{File: 5}, nil }}}
	w := &worker{pool: p, reader: newReader()}
	for n, want := range map[int32]string{mostClosing - 1: "which it does not have", mostClosing: "takes too long"} {
		p.closing.Store(n)
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		frame := wire.Frame{Kind: wire.KindHead, Flags: wire.FlagEnd | wire.FlagFile, ID: 1, Payload: make([]byte, 8)}
		if _, err := w.onHead(frame, nil, []int{fd}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d files that are being closed: got error %v, want %q", n, err, want)
		}
	}
}
