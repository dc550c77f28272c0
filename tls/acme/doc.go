// Package acme obtains, keeps and renews certificates.
//
//	Issuer      a certificate authority that speaks ACME (RFC 8555)
//	Want        a name, its Issuers in turn, and what this host can answer
//	Source      the certificates of all names; it outlives configurations
//
// certmagic keeps certificates: it stores them, locks names among processes
// that share a folder, and renews in time (ARI, RFC 9773). Orders are ours, on
// acmez: certmagic's own ACME client would open sockets to answer challenges,
// and only our listeners answer here. A Source offers them what to say:
// KeyAuthorization for HTTP-01, Challenge for TLS-ALPN-01 (RFC 8737).
//
// A Source belongs to no configuration. Load reads what is stored for a new
// one, Use begins to obtain what is missing and lets go of what is no longer
// wanted; each name that is used has a goroutine of its own, and Close waits for
// all of them. A failure is told in one line with the time
// of the next try and costs no other name anything.
package acme

// Files, in the order of the story:
//
//   - source.go site.go names.go: names, and what serves them
//   - issuer.go account.go order.go challenges.go: from an authority to a certificate
//   - reach.go limit.go: when it is asked
//   - local.go key.go: without one
