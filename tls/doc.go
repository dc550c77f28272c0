// Package tls adds to crypto/tls what a front with many servers needs: certificates from
// files, which are checked when they are read; the choice among a server's certificates
// (RSA and ECDSA side by side); the choice of the server by SNI; session tickets whose
// keys survive a reload; and the verification of clients.
//
//	Pair       a certificate chain and its key, read through config.Host
//	Identity   what one server uses in a handshake: certificates, protocol versions
//	NewConfig  the crypto/tls.Config of one address: SNI chooses the Identity
//	Tickets    ticket keys, shared by all addresses, rotated daily
//	Sessions   sessions that the server keeps, if tickets are off
//	Verifier   the CAs, revocations and depth for verifying clients, or servers
//	Outbound   how connections to other servers are encrypted
//
// Only Tickets and Sessions change once they are in use, so that a handshake takes few
// locks. The package knows no request and no directive.
package tls

// Files, in the order of the story:
//
//   - pair.go key.go issuer.go subject.go: certificates and keys
//   - identity.go names.go ciphers.go curves.go: a server's handshakes
//   - sessions.go tickets.go: sessions that resume
//   - verify.go: certificates of clients
//   - outbound.go hostname.go: connections to other servers
