// Package proxyproto reads the header of the PROXY protocol, versions 1 (text)
// and 2 (binary): a proxy sends it before anything else, so that the server
// learns where the client connects from and where it connects to.
//
// Parse is a pure function over the bytes that have come so far. It is strict,
// since whoever sends a header chooses an address that others trust: what the
// specification reserves is refused (nginx takes some of it for a header without
// addresses), an address is written as its family has it, a port is a decimal
// number without leading zeros, and a checksum (version 2) must be right.
//
// A header without addresses (UNKNOWN, LOCAL, a family that is not IP) is valid:
// the connection keeps its own addresses, as in nginx.
package proxyproto
