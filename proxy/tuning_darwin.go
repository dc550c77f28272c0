package proxy

import "golang.org/x/sys/unix"

const (
	tcpKeepIdle    = unix.TCP_KEEPALIVE
	tcpDeferAccept = 0 // macOS has none: setting it fails, and the log says so
)
