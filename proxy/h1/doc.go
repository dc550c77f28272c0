// Package h1 is the codec of HTTP/1 messages (RFC 9112): heads of requests and
// responses, and the framing of bodies. It has no socket, no clock and no Engine; its
// callers read and write the bytes.
//
// A caller feeds a RequestHead or a ResponseHead all bytes that have come, again each
// time that more have come. Each byte is searched once for the end of the head. A head is
// parsed when it is complete. The result depends on the bytes alone, not on the pieces in
// which they came. Its strings alias the bytes, so they are valid until the caller changes
// the bytes.
//
// Body follows the framing of a body: it consumes the framing and counts the data, which
// the caller takes from where it is.
//
// Parsing is strict where leniency has led to smuggled requests and responses: several
// lengths, a length beside Transfer-Encoding, several codings, folded lines, white space
// before the colon and control characters are errors. Where the RFC leaves a choice, h1
// reads as nginx does: a bare LF ends a line of a head. In chunked framing it is an error.
// Lines, heads, fields, chunk extensions and trailers have bounds.
package h1
