// Package cgi is the codec of what gateways speak: uwsgi, SCGI and FastCGI. It works on
// bytes alone.
//
//	Uwsgi, SCGI, FastCGI   write the parameters of a request, and its body
//	Records                takes the records of FastCGI away from an answer
//
// A request is written in this order: Begin, then Name, Middle and Value for each parameter,
// then End, then the body by Body or in parts. All append to a buffer of the caller's. What
// is in an answer is a head of CGI and a body: package h1 reads it.
package cgi
