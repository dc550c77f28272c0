// Package http1 is the server side of HTTP/1.1 (RFC 9112): it reads requests in place into
// Exchanges and writes the responses.
//
// A connection's event loop calls it when a request has come. The connection serves the
// request in straight code, on the leader's goroutine. A read or write that has to wait
// gives the lead away first. At most one goroutine drives a connection at a time; Drain
// and Close only change its state and cut it.
//
// A connection holds no goroutine while it idles, while its Exchange is suspended, and
// while it waits for bytes that it drops: the rest of a body, or bytes that come before it
// closes. An idle connection holds no buffer and no Exchange either. The goroutine that
// brings the event drives the connection on. If a suspended Exchange waits for more of its
// body, the loop owns the reading side, and wakes the Exchange.
//
// A connection reads and writes a wire. The wires hide whether a loop or a goroutine serves
// the connection (a system without a poller needs goroutines), and whether it has TLS. The
// handshake is over before (see proxy/transport).
//
// A request head is parsed inside the read buffer, and the strings of the Exchange's
// Request alias it. So the buffer stays unchanged until the exchange has ended: the body is
// read into other memory, and pipelined requests stay in the buffer, after the head. Bytes
// to send are gathered in one pooled buffer and sent in one system call.
//
// Package h1 parses heads and the framing of bodies. Where we differ from nginx, the tests
// have a case made by ours, with the reason.
package http1

// Files, in the order of the story:
//
//   - conn.go events.go: a connection, and who drives it
//   - wire.go looped.go sealed.go standing.go: the wires
//   - read.go body.go: requests
//   - write.go file.go sendfile_linux.go: responses
//   - upgrade.go: tunnels
//   - drain.go close.go: the end
