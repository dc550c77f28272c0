//go:build !linux

package keeper

// portHolder names the process that listens on a TCP port.
func portHolder(uint16) string { return "another process" }
