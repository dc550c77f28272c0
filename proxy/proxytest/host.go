package proxytest

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"alicorn/config"
)

// Host is a config.Host that binds every TCP address to a free port of its
// host and otherwise does what it is asked, as the user of the test.
type Host struct{}

// NewHost returns a Host.
func NewHost() *Host { return &Host{} }

// Listen binds address, on a free port.
func (h *Host) Listen(network, address string, o config.ListenOptions) (*os.File, error) {
	if network != "unix" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, "0")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	switch ln := ln.(type) {
	case *net.UnixListener:
		ln.SetUnlinkOnClose(false)
		return ln.File()
	default:
		return ln.(*net.TCPListener).File()
	}
}

// Append opens path for appending and creates its directory.
func (h *Host) Append(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// LookUp asks the system's resolver.
func (h *Host) LookUp(host string) ([]netip.Addr, error) { return config.LookUp(host) }

// ReadFile reads path.
func (h *Host) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }
