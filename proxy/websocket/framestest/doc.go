// Package framestest is a client for tests of WebSocket servers, and a table of the bytes that
// a client may send, with the answers of an echo server, by the sections of RFC 6455 and RFC
// 7692. The table is also tested with uvicorn. If uvicorn answers in another way than we do,
// the case has its answer and the reason.
package framestest

// Files, in the order of the story:
//
//   - client.go: frames of a client, and answers of a server
//   - table.go framing.go closing.go text.go deflate.go handshake.go: the cases
