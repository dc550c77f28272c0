// Package asgi is how a request looks to an ASGI application (ASGI 3.0): what is special to
// this kind of worker. Scope makes the connection scope of a request. It knows no pool's
// queue, no directive and no process.
package asgi
