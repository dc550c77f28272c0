//go:build !linux

package keeper

import "errors"

// Supported says that this system can carry the wire between two processes.
const Supported = false

const receiveFlags = 0

func socketPair() (ours, theirs int, err error) {
	return -1, -1, errors.New("this system has no unix sockets that keep messages apart")
}
