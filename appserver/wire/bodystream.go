package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewBodyStream returns the two ends of a socket by which a worker gets the body of a request
// while it comes: the front's, which does not block, and the worker's, which the caller closes.
func NewBodyStream() (ours int, theirs *os.File, err error) {
	ours, fd, err := streamPair()
	if err != nil {
		return -1, nil, fmt.Errorf("cannot make a socket for a request body: %w", err)
	}
	if err := unix.SetNonblock(ours, true); err != nil {
		unix.Close(ours)
		unix.Close(fd)
		return -1, nil, fmt.Errorf("cannot make a socket for a request body: %w", err)
	}
	return ours, os.NewFile(uintptr(fd), "request body"), nil
}
