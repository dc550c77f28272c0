// Package gateway is what the kinds of workers have in common: which facts of a request an
// application gets, whatever interface it has, and how its answers are read. Request is a
// request with what is believed of it, Rules say which header fields an application sees,
// ParseHead reads the status and the header fields of an answer. The packages of the kinds
// (wsgi, asgi) give these facts the names that applications know.
package gateway
