// Package http1 is the server side of HTTP/1.1 (RFC 9112): it reads requests
// in place into Exchanges and writes what the Engine answers.
//
// A connection is called by its eventloop.Loop when a request is there and
// serves it in straight code on the leader's goroutine: a read or write that
// has to wait hands the lead over and waits as a goroutine's would. An idle
// connection holds no buffer and no Exchange, and like one whose Exchange is
// suspended no goroutine: who brings the event that it waits for drives it on. At most one
// goroutine drives a connection; Drain and Close only change its state and cut. While an
// Exchange that is suspended waits for more of its body the loop has the reading, and
// wakes it.
//
// What a connection speaks on is a wire: it has the differences between loops and
// goroutines, which serve a connection throughout where the system has no poller,
// and between clear text and TLS, whose handshake is over (see proxy/transport).
//
// A request head is parsed inside the connection's read buffer; the strings of
// the Exchange's Request alias it. The buffer is therefore left alone until
// the exchange has ended: the body is read into the caller's memory, and
// pipelined requests stay behind it. What is written is gathered in one pooled
// buffer and leaves in one call.
//
// Package h1 reads heads and the framing of bodies. Where we differ from nginx
// the tests have a case, named ours, and the rule.
package http1

// Files, in the order of the story:
//
//   - conn.go events.go: a connection, and who drives it
//   - wire.go looped.go sealed.go standing.go: what it speaks on
//   - read.go body.go: requests
//   - write.go file.go sendfile_linux.go: responses
//   - upgrade.go: what is no HTTP any more
//   - drain.go close.go: the end
