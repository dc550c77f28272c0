// Package acme obtains, keeps and renews certificates.
//
//	Issuer      a certificate authority that speaks ACME (RFC 8555)
//	Want        a name that needs a certificate, its Issuers, and the challenges that this host can answer
//	Source      the certificates of all names; it outlives configurations
//
// certmagic stores the certificates, locks names against other processes that share the
// folder, and knows when a certificate must be renewed (ARI, RFC 9773). The package makes
// orders itself, with acmez: certmagic's own ACME client would open sockets to answer
// challenges, but here only the server's listeners answer. They get the answers from the
// Source: KeyAuthorization for HTTP-01, Challenge for TLS-ALPN-01 (RFC 8737).
//
// A Source belongs to no configuration. Load reads stored certificates for a new
// configuration. Use begins to obtain the missing ones, and drops names that are not wanted
// any more. Each name has a goroutine, and Close waits for all of them. A failure is logged
// in one line with the time of the next try, and does not affect other names.
package acme

// Files, in the order of the story:
//
//   - source.go site.go names.go: names and their certificates
//   - issuer.go account.go order.go challenges.go: from an authority to a certificate
//   - reach.go limit.go: whether and when an authority is asked
//   - local.go key.go: the local authority, and keys
