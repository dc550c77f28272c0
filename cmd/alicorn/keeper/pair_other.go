//go:build !linux

package keeper

import (
	"errors"
	"os"
)

// Supported says that this system can carry the wire between two processes.
const Supported = false

const receiveFlags = 0

func socketPair() (ours, theirs int, err error) {
	return -1, -1, errors.New("this system has no unix sockets that keep messages apart")
}

// scratch returns a file without a name.
func scratch() (*os.File, error) {
	f, err := os.CreateTemp("", "alicorn-*")
	if err == nil {
		os.Remove(f.Name())
	}
	return f, err
}
