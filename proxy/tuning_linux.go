package proxy

import "golang.org/x/sys/unix"

const (
	tcpKeepIdle    = unix.TCP_KEEPIDLE
	tcpDeferAccept = unix.TCP_DEFER_ACCEPT
)
