package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bell wakes a thread of a worker that waits for a word of its page. It is a socket, so nothing
// that the worker does to its end makes Ring wait. With an eventfd the worker could, as both
// sides would share its flags.
type Bell struct{ fd int }

// NewBell returns the front's end, and the worker's end, which the caller closes.
func NewBell() (Bell, *os.File, error) {
	ours, theirs, err := streamPair()
	if err != nil {
		return Bell{-1}, nil, fmt.Errorf("cannot make a socket to wake a worker's thread: %w", err)
	}
	return Bell{ours}, os.NewFile(uintptr(theirs), "bell"), nil
}

// Ring wakes the thread, or ends its next wait at once. If the socket is full, the thread has
// rings to read already.
func (b Bell) Ring() {
	one := [1]byte{1}
	unix.SendmsgN(b.fd, one[:], nil, nil, unix.MSG_DONTWAIT|noSignal)
}

// Close closes the front's end. The worker then reads the end.
func (b Bell) Close() { unix.Close(b.fd) }
