// Package tls gives crypto/tls what a front with many servers needs:
// certificates from files, checked when they are read; the choice among a
// server's certificates (RSA and ECDSA side by side); the choice of the server
// by SNI; and keys for session tickets that survive a reload.
//
//	Pair       a certificate chain and its key, read through config.Host
//	Identity   what one server shows: its certificates, its protocol versions
//	NewConfig  the crypto/tls.Config of one address: SNI chooses the Identity
//	Tickets    ticket keys, shared by all addresses, rotated daily
//	Sessions   sessions kept here, where tickets are not wanted
//	Verifier   the CAs, revocations and depth that clients are judged by
//
// Everything but Tickets and Sessions is immutable once made, so a handshake takes no lock
// but Go's own. The package knows no request and no directive.
package tls

// Files, in the order of the story:
//
//   - pair.go key.go issuer.go subject.go: certificates and keys
//   - identity.go names.go ciphers.go curves.go: how a server speaks TLS
//   - sessions.go tickets.go: sessions that resume
//   - verify.go: certificates of clients
