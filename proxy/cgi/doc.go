// Package cgi encodes requests for gateways by uwsgi, SCGI and FastCGI, and removes
// FastCGI's framing from answers. It works on bytes and uses no socket. The model:
//
//	Uwsgi, SCGI, FastCGI   write the parameters of a request, and its body
//	Records                removes the records of FastCGI from an answer
//
// A request is written in this order: Begin; for each parameter Name, the name, Middle, the
// value, and Value; End; the body, by Body or in parts. Each appends to a buffer of the
// caller. An answer consists of a CGI head and a body, which package h1 reads.
package cgi
