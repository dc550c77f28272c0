// Package frames is the codec of the server's end of WebSockets: frames (RFC 6455),
// compression of messages (RFC 7692), and the fields of the handshake. It works on bytes,
// without a socket.
//
// A Reader reads bytes as they come, and returns one event at a time: a part of a message, a
// ping, a pong, or a close. It holds no message: it returns parts as their bytes come, as
// large as the caller has room for. A caller without room holds the client back. Before it
// returns a part, it has checked the rules of RFC 6455 for clients, that a text is UTF-8,
// byte by byte, and the size of the message after inflation. A Writer appends frames.
//
// Compression needs much memory, of which an idle connection holds little:
//
//   - To inflate a message takes an inflater of about 60 KB from a pool. The decoder pulls
//     its input, so it runs as a coroutine (iter.Pull), which pauses at the end of the
//     client's bytes. It is the decoder of the standard library: klauspost's keeps the
//     Huffman tables of an earlier stream, and an invalid stream can use them.
//   - Deflation keeps no state but the last bytes that were sent, its dictionary.
//   - Between messages a connection holds this dictionary, at most 2 KB, and the client's
//     window. That has 4 KB if the client lets us bound it (client_max_window_bits).
//     Otherwise we ask for client_no_context_takeover, and there is none. With zlib each
//     connection would hold about 300 KB.
package frames

// Files, in the order of the story:
//
//   - key.go extension.go: fields of the handshake
//   - frame.go mask.go text.go: parts of frames
//   - reader.go inflate.go: frames of a client
//   - writer.go deflate.go: frames to a client
