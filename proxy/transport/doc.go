// Package transport takes an accepted connection to its protocol, in three steps:
//
//	header     reads the PROXY protocol's header, if the address expects one (header.go)
//	handshake  does the TLS handshake, if the address has TLS; a client that speaks
//	           plain HTTP instead goes on without TLS, and is marked (handshake.go)
//	hand-over  calls the protocol that ALPN has chosen from the names of the table
//	           Protocols, which TLS offers (serve.go, opening.go)
//
// A connection to a plain address without a header goes to its protocol at once.
// Every other connection belongs to an opening until the hand-over: the opening is
// the Engine's LiveConn, until the protocol registers itself in its place. All
// three steps together take no longer than client_header_timeout, counted from the
// accept.
//
// If a loop calls the connection, no goroutine waits for the header or for the
// first byte of the handshake. The handshake itself gives the lead away, and
// computes in one of the Group's places (see eventloop's Labor).
//
// No byte after the header is read before the hand-over: the opening peeks at the
// socket, and consumes only the header. So the protocol, or crypto/tls, finds in the
// socket all that the client has sent after the header.
package transport
