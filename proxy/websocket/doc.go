// Package websocket carries WebSockets (RFC 6455): the handshake, and then messages between
// a client and an application, which is a Peer.
//
// A Conn has two sides. Each has at most one owner, a goroutine, at a time. The reading
// side parses bytes of the client and gives parts of messages to the Peer. The writing side
// sends the frames that were gathered since its last write. An event loop calls both sides,
// and an idle Conn has neither a goroutine nor a buffer. Without a loop each side has a
// goroutine.
//
//	reading   waits for bytes -> parses -> gives parts -> no credit: stalls until Grant
//	writing   idle -> (Send, at the end of the caller's turn) sends -> no room: waits for it -> idle
//
// Credit bounds the bytes on their way in both directions. The Peer gives credit for the
// messages of the client (Grant): if the application takes none, the client is not read
// from. The Conn returns credit for messages to the client (Taken) when the socket has taken
// them: if the client does not read, only its own sender has to wait.
//
// A Conn ends in one of five ways: the client closes, and its close is answered; the
// application closes; the client breaks a rule; the server ends the connection; or the
// connection is lost. After a broken rule the client gets a close with the code, and its
// bytes are dropped for a while, so that the close reaches it. At the end Peer.Closed is
// called once, and the exchange goes on.
package websocket

// Files, in the order of the story:
//
//   - feature.go directives.go origin.go handshake.go: settings and the handshake
//   - conn.go open.go: a Conn, and the link below it
//   - reading.go rate.go: the reading side
//   - writing.go buffer.go: the writing side
//   - ending.go: the end
//   - standing.go: a connection without a loop
