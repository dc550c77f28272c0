// Package proxyproto reads the header of the PROXY protocol, versions 1 (text) and 2 (binary).
// A proxy sends it before anything else, so that the server learns from which address, and to
// which one, the client has connected.
//
// Parse is a pure function over the bytes that have come so far. It is strict, since the
// sender of a header chooses an address that the server then trusts. Values that the
// specification reserves are errors (nginx reads some of them as a header without addresses),
// an address must be of the family that the header names, a port is a decimal number without
// leading zeros, and a checksum (version 2) must be right.
//
// A header without addresses (UNKNOWN, LOCAL, a family that is not IP) is valid:
// the connection keeps its own addresses, as in nginx.
package proxyproto
