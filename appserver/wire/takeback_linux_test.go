package wire

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// soPassPIDFD has the kernel add a descriptor of the sender to each message. Linux has it since 6.5.
const soPassPIDFD = 76

// A worker that asks the system for more descriptors at its end of the channel does not use up the
// front's, which receives there, too.
func TestTakingBackLeavesNoDescriptorOpen(t *testing.T) {
	c, theirs, err := NewChannel(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer theirs.Close()
	if err := unix.SetsockoptInt(int(theirs.Fd()), unix.SOL_SOCKET, soPassPIDFD, 1); err != nil {
		t.Logf("this kernel knows no SO_PASSPIDFD: %v", err)
	}
	frame, rights := AppendHeader(nil, KindRequest, 0, 1), unix.UnixRights(int(theirs.Fd()))
	before := openDescriptors(t)
	for range 10 {
		if err := c.Send(frame, rights); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := c.TakeBack(); !ok || string(got) != string(frame) {
			t.Fatalf("got %q, %v, %v; want %q, true", got, ok, err, frame)
		}
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("got %d open descriptors, want %d as before", after, before)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
