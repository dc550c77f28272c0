package cgi

import "strconv"

// SCGI writes requests of the Simple Common Gateway Interface:
// https://python.ca/scgi/protocol.txt
type SCGI struct{}

// lengthRoom is left for the length of the parameters and its colon.
const lengthRoom = 20

// Begin leaves room for the length of the parameters and appends the first one: the
// body's length.
func (s *SCGI) Begin(dst []byte, length int64) []byte {
	dst = append(dst, make([]byte, lengthRoom)...)
	dst = append(dst, "CONTENT_LENGTH\x00"...)
	return append(strconv.AppendInt(dst, max(length, 0), 10), 0)
}

// Name appends nothing: a name ends with a zero.
func (s *SCGI) Name(dst []byte, _ int) []byte { return dst }

// Middle appends what stands between a name and its value.
func (s *SCGI) Middle(dst []byte) []byte { return append(dst, 0) }

// Value ends a parameter.
func (s *SCGI) Value(dst []byte, _, _ int) []byte { return append(dst, 0) }

// End completes the request whose Begin was at start: the parameters become a netstring.
func (s *SCGI) End(dst []byte, start int) ([]byte, error) {
	parameters := dst[start+lengthRoom:]
	n := len(strconv.AppendInt(dst[start:start], int64(len(parameters)), 10))
	dst[start+n] = ':'
	n += copy(dst[start+n+1:], parameters) + 1
	return append(dst[:start+n], ','), nil
}

// Body appends a body that is there, whole.
func (s *SCGI) Body(dst, body []byte) []byte { return append(dst, body...) }
