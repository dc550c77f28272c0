//go:build !linux

package proxytest

import (
	"net"
	"testing"
)

// Port returns a port of 127.0.0.1 on which nobody listens. Where the system is not Linux,
// another process may take it.
func Port(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
