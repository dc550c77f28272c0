package proxypass

import (
	"golang.org/x/sys/unix"
)

// freely lets a socket be bound to an address that is not this machine's, and, where the
// port is not given, leaves its choice to connect, which knows more free ones.
func freely(fd int, transparent, portless, four bool) error {
	if transparent {
		level, option := unix.SOL_IP, unix.IP_TRANSPARENT
		if !four {
			level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		}
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			return &failure{status: 500, reason: "setsockopt(IP_TRANSPARENT) failed (" + systemText(err) + ") " + whileConnecting, crit: true}
		}
	}
	if portless {
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // old systems lack it
	}
	return nil
}
