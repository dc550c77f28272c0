package wire

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The request UFFDIO_REGISTER, and the mode for pages that are missing: linux/userfaultfd.h.
const (
	uffdAPI      = 0xc018aa3f
	uffdRegister = 0xc020aa00
	uffdMissing  = 1
)

// heldPage returns memory whose first use waits until release is called. An application without
// rights can have such memory from a file system of its own.
func heldPage(t *testing.T) (page []byte, release func()) {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		t.Fatalf("this test needs root: %v", errno)
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	api := [3]uint64{0xaa}
	area := [4]uint64{uint64(uintptr(unsafe.Pointer(&page[0]))), uint64(len(page)), uffdMissing}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdAPI, uintptr(unsafe.Pointer(&api))); errno != 0 {
		t.Fatal(errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdRegister, uintptr(unsafe.Pointer(&area))); errno != 0 {
		t.Fatal(errno)
	}
	return page, sync.OnceFunc(func() { unix.Close(int(fd)) })
}

// A worker that holds the lock of its end of the channel does not hold up the front.
func TestTakingBackDoesNotWaitForTheWorker(t *testing.T) {
	c, theirs, err := NewChannel(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer theirs.Close()
	page, release := heldPage(t)
	ended := make(chan bool)
	defer func() {
		release()
		<-ended
	}()
	frame := AppendHeader(nil, KindRequest, 0, 1)
	for range 2 {
		if err := c.Send(frame, nil); err != nil {
			t.Fatal(err)
		}
	}
	end := int(theirs.Fd())
	go func() {
		defer close(ended)
		unix.Recvfrom(end, page, 0)
	}()
	for received := false; !received; { // the first frame is gone once it is being copied
		n, err := unix.IoctlGetInt(end, unix.SIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		received = n < 2*len(frame)
		runtime.Gosched()
	}
	if frame, ok, err := c.TakeBack(); err == nil {
		t.Errorf("got %q, %v, want an error", frame, ok)
	}
	if frame, ok, err := c.TakeBack(); ok || err != nil {
		t.Errorf("got %q, %v, %v from a channel that is held; want nothing", frame, ok, err)
	}
}
