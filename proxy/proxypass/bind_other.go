//go:build !linux

package proxypass

import "syscall"

// freely does what only Linux can do for a transparent socket, and else nothing.
func freely(_ int, transparent, _, _ bool) error {
	if transparent {
		return &failure{status: 500, reason: "setsockopt(IP_TRANSPARENT) failed (" + systemText(syscall.ENOTSUP) + ") " + whileConnecting, crit: true}
	}
	return nil
}
