// Package frames is the codec of WebSocket connections, as a server sees them: frames
// (RFC 6455), compression of messages (RFC 7692) and the names of the handshake. It works
// on bytes, without a socket.
//
// A Reader is given bytes as they come, and returns one event at a time: a part of a
// message, a ping, a pong, a close. It holds no message: parts leave as they come, as
// large as the caller has room for, so that the caller holds back a client by giving no
// room. It checks what RFC 6455 demands of a client, the text as UTF-8 byte by byte, and
// the size of a message after inflation, before a part leaves. A Writer appends frames.
//
// Compression is the expensive part, and an idle connection holds none of it:
//
//   - Inflation of one message takes an inflater of about 60 KB from a pool. The decoder
//     pulls its input, so it runs as a coroutine (iter.Pull) that waits where the client's
//     bytes end. It is the standard library's: klauspost's keeps Huffman tables of the
//     stream before, of which an invalid stream can make use.
//   - Deflation is stateless: it takes the last bytes that were sent as a dictionary.
//   - What stays between messages is that dictionary (2 KB at most) and the client's
//     window: 4 KB where the client lets us bound it (client_max_window_bits), nothing
//     where it does not: then we ask for client_no_context_takeover. zlib would hold
//     about 300 KB for each connection.
package frames

// Files, in the order of the story:
//
//   - key.go extension.go: names of the handshake
//   - frame.go mask.go text.go: what frames are made of
//   - reader.go data.go control.go inflate.go: what a client sends
//   - writer.go deflate.go: what goes to a client
