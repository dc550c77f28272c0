// Package http1 is the server side of HTTP/1.1 (RFC 9112): it reads requests
// in place into Exchanges and writes what the Engine answers.
//
// A connection is called by its eventloop.Loop when a request is there and
// serves it in straight code on the leader's goroutine: a read or write that
// has to wait hands the lead over and waits as a goroutine's would. An idle
// connection, and one whose Exchange is suspended, has no goroutine: who
// resumes the Exchange drives it on. At any time one goroutine at most drives
// a connection; beside it, Drain and Close only change its state and cut.
// Connections over TLS, and all where the system has no loops, have a
// goroutine each throughout.
//
// A request head is parsed inside the connection's read buffer; the strings of
// the Exchange's Request alias it. The buffer is therefore left alone until
// the exchange has ended: the body is read after the head, into the caller's
// memory, and pipelined requests stay behind it. While a connection idles it
// holds no buffer and no Exchange: the wait for the first byte is a wait for
// readiness.
//
// Parsing is strict where leniency has led to request smuggling, and as nginx
// reads where the RFC leaves a choice: a bare LF ends a header line but is an
// error in chunk framing; Content-Length beside Transfer-Encoding, repeated or
// malformed lengths, several codings, obsolete folding, white space before the
// colon, control characters and several Host fields are 400; codings but
// chunked are 501. The asterisk form of a target is 400, as in nginx. Where we
// choose differently from nginx the tests have a case, named ours, and the rule.
//
// Heads, small bodies and chunk framing are gathered in one pooled buffer and
// leave in one write.
package http1
