// Package h1 is the codec of HTTP/1's messages (RFC 9112): heads of requests and
// responses, and the framing of bodies. It knows no socket, no clock and no
// Engine; whoever reads and writes the bytes drives it.
//
// RequestHead and ResponseHead are fed the bytes that have come so far, as often
// as more come. They look at each byte once for the end of the head and parse
// the head when it is complete. What a message says depends on its bytes alone,
// not on the pieces that it came in. Strings alias the bytes: they are valid as
// long as these are left alone.
//
// Body follows the framing of a body: it consumes what is framing and counts
// what is data; the caller takes the data from where it is.
//
// Parsing is strict where leniency has led to smuggling of requests and
// responses, and as nginx reads where the RFC leaves a choice: a bare LF ends a
// line of a head but is an error in chunk framing; Content-Length beside
// Transfer-Encoding, repeated or malformed lengths, several codings, folding,
// white space before the colon and control characters are errors. Lines, heads,
// fields, chunk extensions and trailers are bounded.
package h1
