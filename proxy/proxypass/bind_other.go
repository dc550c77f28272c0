//go:build !linux

package proxypass

import "syscall"

// freely returns an error for a transparent socket, which only Linux has.
func freely(_ int, transparent, _, _ bool) error {
	if transparent {
		return &failure{status: 500, reason: "setsockopt(IP_TRANSPARENT) failed (" + systemText(syscall.ENOTSUP) + ") " + whileConnecting, crit: true}
	}
	return nil
}
