package cgi

import "strconv"

// SCGI writes requests of the Simple Common Gateway Interface:
// https://python.ca/scgi/protocol.txt
type SCGI struct{}

// lengthRoom is the room for the length of the parameters and its colon.
const lengthRoom = 20

// Begin leaves lengthRoom and appends the first parameter: the length of the body; a length
// below 0 counts as 0.
func (s *SCGI) Begin(dst []byte, length int64) []byte {
	dst = append(dst, make([]byte, lengthRoom)...)
	dst = append(dst, "CONTENT_LENGTH\x00"...)
	return append(strconv.AppendInt(dst, max(length, 0), 10), 0)
}

// Name appends nothing: a name has no length before it.
func (s *SCGI) Name(dst []byte, _ int) []byte { return dst }

// Middle appends the NUL that ends a name.
func (s *SCGI) Middle(dst []byte) []byte { return append(dst, 0) }

// Value appends the NUL that ends a value.
func (s *SCGI) Value(dst []byte, _, _ int) []byte { return append(dst, 0) }

// End completes the parameters that Begin has started at start: they become a netstring. It
// never returns an error.
func (s *SCGI) End(dst []byte, start int) ([]byte, error) {
	parameters := dst[start+lengthRoom:]
	n := len(strconv.AppendInt(dst[start:start], int64(len(parameters)), 10))
	dst[start+n] = ':'
	n += copy(dst[start+n+1:], parameters) + 1
	return append(dst[:start+n], ','), nil
}

// Body appends a complete body.
func (s *SCGI) Body(dst, body []byte) []byte { return append(dst, body...) }
