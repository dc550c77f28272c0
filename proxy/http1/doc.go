// Package http1 is the server side of HTTP/1.1 (RFC 9112): it reads requests
// in place into Exchanges and writes the responses.
//
// A connection's eventloop.Loop calls it when a request has come, and the connection
// serves the request in straight code on the leader's goroutine. A read or write that
// has to wait gives the lead away first. An idle connection holds no buffer, no
// Exchange and no goroutine. A connection whose Exchange is suspended holds no
// goroutine either: the goroutine that brings the event drives the connection on.
// While a suspended Exchange waits for more of its body, the Loop has the reading, and
// wakes the Exchange. Nor has a connection a goroutine while it waits for bytes that it
// drops: the rest of a body, or what comes before it closes. At most one goroutine drives a connection at a time; Drain and
// Close only change its state and cut.
//
// A connection reads and writes a wire. The wires have all the differences between
// loops and goroutines, which serve connections if the system has no poller, and
// between clear text and TLS. The handshake is over by then (see proxy/transport).
//
// A request head is parsed inside the connection's read buffer, and the strings of
// the Exchange's Request alias it. So the buffer stays unchanged until the exchange
// has ended: the body is read into the caller's memory, and pipelined requests stay
// after it in the buffer. Bytes to write are gathered in one pooled buffer and leave
// in one system call.
//
// Package h1 parses heads and the framing of bodies. Where we differ from nginx the
// tests have a case with the field ours, and the reason.
package http1

// Files, in the order of the story:
//
//   - conn.go events.go: a connection, and who drives it
//   - wire.go looped.go sealed.go standing.go: the wires
//   - read.go body.go: requests
//   - write.go file.go sendfile_linux.go: responses
//   - upgrade.go: tunnels
//   - drain.go close.go: the end
