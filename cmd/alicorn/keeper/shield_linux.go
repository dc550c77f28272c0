package keeper

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Shield keeps processes without privileges, even those of the same user, from
// reading the memory and the descriptors of this one (PR_SET_DUMPABLE). It does
// not cover the programs that this process starts.
func Shield() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep other processes from reading this one's memory: %w", err)
	}
	return nil
}
