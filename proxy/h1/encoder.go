package h1

import (
	"strconv"

	"alicorn/proxy"
)

// AppendStatusLine appends the status line of an HTTP/1.1 response. It does not check
// reason.
func AppendStatusLine(dst []byte, status int, reason string) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	return append(append(dst, reason...), '\r', '\n')
}

// AppendField appends the line of a header field. If the field is malformed, ok is false
// and nothing is appended: it could change where the message ends.
func AppendField(dst []byte, name, value string) (line []byte, ok bool) {
	if !proxy.IsToken(name) || !IsValue(value) {
		return dst, false
	}
	return append(append(append(append(dst, name...), ": "...), value...), '\r', '\n'), true
}

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// ChunkEnd follows the data of a chunk.
const ChunkEnd = "\r\n"

// AppendChunkSize appends the line with which a chunk of n bytes begins. n must not be 0,
// as a chunk of 0 bytes ends the body.
func AppendChunkSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), '\r', '\n')
}
