// Package transport takes an accepted connection to the protocol that it speaks:
//
//	header     the PROXY protocol's, where the address has it (header.go)
//	handshake  of TLS, where the address has it; a client that speaks HTTP in its
//	           place is handed on without TLS, and marked (handshake.go)
//	hand-over  to the protocol that ALPN has chosen: TLS offers those of the table
//	           that the connections are served by (serve.go, opening.go)
//
// A plain address without a header goes to its protocol at once. In all else an
// opening has the connection until the hand-over: it is the Engine's LiveConn so
// far, and the protocol registers itself in its place. The whole takes no longer
// than client_header_timeout, from when the connection was accepted.
//
// Where a loop calls the connection, it waits for the header and for the first
// byte of the handshake without a goroutine. The handshake hands the lead over,
// and computes in one of the Group's places (eventloop's Labor).
//
// No byte behind a header is read before the hand-over: bytes are looked at, and
// those of the header alone are consumed. So a protocol finds what the client has
// sent it in the socket, and crypto/tls too.
package transport
