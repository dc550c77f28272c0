// Package resolver looks up host names while requests are served: nginx's resolver
// directives. The model:
//
//	Resolver   name servers, and a cache of their answers
//	Question   a host name whose addresses are asked for, or the name of a service (SRV)
//	flight     a Question that is being asked, with the functions that wait for its answer
//
// Asking never blocks: Ask returns an answer of the cache at once, and otherwise calls a
// function later. A Question that is being asked is not asked a second time.
//
// Each try has a socket of its own, with a port that is hard to guess. Datagrams that do not
// answer the question are ignored. If a name server fails or does not answer, the next one
// is asked. As clients may choose names, the cache, the flights and the waiting functions
// are bounded.
package resolver
