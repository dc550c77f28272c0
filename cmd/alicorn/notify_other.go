//go:build !linux

package main

// monotonic is for systemd, which other systems do not have.
func monotonic() int64 { return 0 }
