package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bell wakes a thread that waits for what its page says. It is a socket of the
// front's own: nothing that a worker does to its end can make ringing wait, as
// it could where both share one description (an eventfd, whose flags are the
// worker's too).
type Bell struct{ fd int }

// NewBell returns the front's end, and the worker's for the caller to close.
func NewBell() (Bell, *os.File, error) {
	ours, theirs, err := streamPair()
	if err != nil {
		return Bell{-1}, nil, fmt.Errorf("cannot make a socket to wake a worker's thread: %w", err)
	}
	return Bell{ours}, os.NewFile(uintptr(theirs), "bell"), nil
}

// Ring wakes the thread, now or when it next waits. A bell that is full of
// rings that the worker has not heard needs no other.
func (b Bell) Ring() {
	one := [1]byte{1}
	unix.SendmsgN(b.fd, one[:], nil, nil, unix.MSG_DONTWAIT|noSignal)
}

// Close ends the bell, by which a worker sees that the front has ended.
func (b Bell) Close() { unix.Close(b.fd) }
