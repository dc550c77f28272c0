package proxypass

import (
	"golang.org/x/sys/unix"
)

// freely sets options for bind: with transparent it allows an address that this machine does
// not have; with portless it leaves the choice of the port to connect, which has more ports to
// choose from.
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
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // fails on old systems, which do not need it
	}
	return nil
}
