package keeper

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Shield keeps every process without privileges, of the same user too, from
// reading this one's memory and descriptors (PR_SET_DUMPABLE). The programs
// that it starts are not shielded.
func Shield() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep other processes from reading this one's memory: %w", err)
	}
	return nil
}
