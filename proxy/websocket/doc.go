// Package websocket carries WebSockets (RFC 6455): the handshake, and the messages
// between a client and the application that a Peer stands for.
//
// A Conn has two sides, each on one goroutine at a time: reading, which parses what the
// client sends and gives parts of messages to the Peer within its credit, and writing,
// which sends the frames that were gathered since the last write. In an event loop both
// sides are handlers, and an idle Conn has neither a goroutine nor a buffer; without a
// loop each has a goroutine.
//
//	reading   waits for bytes -> parses -> gives parts -> out of credit: stalls until Grant
//	writing   idle -> (Send, at the end of the caller's turn) sends -> no room: waits for it -> idle
//
// Back-pressure is credit, both ways. The Peer's credit bounds what is on its way to the
// application; a client whose application does not read is not read from. What Send was
// given is returned to the Peer by Taken when the socket has taken it; a client that does
// not read therefore stalls its own sender and nobody else.
//
// A Conn ends in one of four ways: the client closes (its close is answered), the
// application closes, the client breaks a rule (it is told the code, and what it still
// sends is dropped for a while, so that the close reaches it), or the connection is lost.
// Then Peer.Closed is called once, and the exchange goes on to its log.
package websocket

// Files, in the order of the story:
//
//   - feature.go directives.go origin.go handshake.go: what is asked, and whether it is allowed
//   - conn.go open.go: a Conn and its two ends
//   - reading.go rate.go: what the client sends
//   - writing.go buffer.go: what goes to it
//   - ending.go: how it ends
//   - standing.go: a connection without a loop
