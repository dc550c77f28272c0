//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profileFolder is set by the linker, with -X main.profileFolder=PATH.
var profileFolder string

// profile measures where the front spends its CPU time until the function is called that it
// returns. The result is PID.prof in profileFolder, for default.pgo: see `bench profile`.
func profile() func() {
	path := filepath.Join(profileFolder, fmt.Sprintf("%d.prof", os.Getpid()))
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "alicorn: cannot write a profile to %s: %v\n", path, err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}
}
