// Package upstreamtest is the conformance suite of upstreams: what a client sees,
// and what the origin sees, is the same whichever protocol lies between the front and
// the origin.
//
// A protocol's test gives Run a Start, which runs an origin that plays a script and a
// server whose location leads there. A script is a function of Call, the protocol's
// way to answer one request. Scripts say what the protocols have in common; what
// belongs to one alone is tested with that.
package upstreamtest
