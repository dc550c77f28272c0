// Package resolver finds the addresses of host names while requests are served: nginx's
// resolver directives. The model:
//
//	Resolver   name servers, and a cache of what they have answered
//	Question   a host name whose addresses are asked for, or the name of a service (SRV)
//	flight     a question that is on its way to the name servers, and who waits for it
//
// Nobody waits in a loop: an answer that the cache has is there at once, and another one
// comes later, to a function. A question that is on its way already is not sent again.
//
// Each try has a socket of its own, whose port nobody can guess. What does not answer the
// question is not read. A name server that fails or is silent is followed by the next one.
// Clients may choose names: the cache, the questions on their way and those who wait are
// bounded.
package resolver
