package pool

import "os"

// Who starts workers here is the process that speaks to them: it knows what it
// has made.

func isPipe(*os.File, int) error    { return nil }
func isChannel(*os.File, int) error { return nil }
func isMemory(*os.File, int) error  { return nil }
func isBell(*os.File, int) error    { return nil }
