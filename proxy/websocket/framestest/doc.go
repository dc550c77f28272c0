// Package framestest is a client for tests of WebSocket servers, and a table of what a
// client may send and what an echo server answers, by the sections of RFC 6455 and RFC
// 7692. Servers of others run the same table; where they differ from ours, the case says
// how and why.
package framestest

// Files, in the order of the story:
//
//   - client.go: frames of a client, and what a server answers
//   - table.go framing.go closing.go text.go deflate.go handshake.go: the cases
