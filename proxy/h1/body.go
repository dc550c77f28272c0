package h1

import (
	"io"
	"math"

	"alicorn/proxy"
)

// Body follows the framing of one message body. The zero value is a body of no
// bytes.
//
// While Left is 0 and the body has not Ended, framing comes: Frame consumes it.
// Data comes otherwise: whoever moves Left bytes of it, or some of them, from
// where they arrive to where they are wanted says so with Take.
type Body struct {
	left      int64 // bytes of the body, or of the current chunk, still to be taken
	state     bodyState
	size      int64 // of the chunk that begins, as far as it was read
	digits    int   // of size
	extension int   // bytes of extensions of the chunk that begins
	overhead  int   // bytes of extensions that no data has paid for
	trailer   int   // bytes of the trailer section so far
	kept      *[]byte
	err       error
}

type bodyState uint8

// What comes next of a body.
const (
	bodyEnded   bodyState = iota
	bodyData              // of a body with a length
	bodyRest              // of a body that ends with the connection
	chunkSize             // the digits of a chunk's size
	chunkBlanks           // after the size: an extension or the end of the line
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerLine // the start of a line of the trailer section
	trailerName
	trailerValue
	trailerLF
	trailersLF // of the empty line that ends the body
)

// Bounds of what chunked framing may carry besides data.
const (
	maxSizeDigits = 15
	maxExtension  = 1 << 10  // in one chunk
	maxOverhead   = 16 << 10 // extensions of all chunks beyond a quarter of their data, as signatures of chunks have
	maxTrailer    = 8 << 10
)

// NewBody returns a body of length bytes, or a chunked one. A body that is not
// chunked and has a negative length ends with the connection.
func NewBody(length int64, chunked bool) Body {
	switch {
	case chunked:
		return Body{state: chunkSize}
	case length < 0:
		return Body{state: bodyRest, left: math.MaxInt64}
	case length > 0:
		return Body{state: bodyData, left: length}
	}
	return Body{}
}

// Left returns how many bytes of data come before the next framing or the end.
func (b *Body) Left() int64 { return b.left }

// Ended reports that the body is complete.
func (b *Body) Ended() bool { return b.state == bodyEnded }

// Take says that n bytes of data were taken; n is at most Left.
func (b *Body) Take(n int64) {
	switch b.left -= n; {
	case b.left > 0:
	case b.state == bodyData:
		b.state = bodyEnded
	case b.state == chunkData:
		b.state = chunkDataCR
	}
}

// EOF says that the connection has ended, and returns io.ErrUnexpectedEOF when the
// body is incomplete.
func (b *Body) EOF() error {
	if b.state != bodyRest && b.state != bodyEnded {
		return io.ErrUnexpectedEOF
	}
	b.state, b.left = bodyEnded, 0
	return nil
}

// KeepTrailer has the lines of the trailer section, should one come, appended to dst. They
// are at most 8 KiB, and each is a valid field.
func (b *Body) KeepTrailer(dst *[]byte) { b.kept = dst }

// Frame consumes the framing at the start of p, up to data, the end of the body
// or the end of p, and returns how many bytes it was. An error is an *Error, and
// lasts.
func (b *Body) Frame(p []byte) (n int, err error) {
	for n < len(p) && b.left == 0 && b.state != bodyEnded && b.err == nil {
		b.err = b.step(p[n])
		n++
	}
	return n, b.err
}

// step reads one byte of chunked framing: RFC 9112 section 7.1.
func (b *Body) step(c byte) error {
	switch b.state {
	case chunkSize:
		return b.readSize(c)
	case chunkBlanks, chunkExtension:
		return b.readExtension(c)
	case chunkSizeLF:
		return b.endSize(c)
	case chunkDataCR, chunkDataLF:
		return b.endData(c)
	}
	return b.readTrailer(c)
}

func (b *Body) readSize(c byte) error {
	if v := proxy.HexValue(c); v >= 0 {
		if b.digits++; b.digits > maxSizeDigits {
			return bad("an invalid chunk size")
		}
		b.size = b.size<<4 | int64(v)
		return nil
	}
	switch {
	case b.digits == 0:
		return bad("an invalid chunk size")
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.state = chunkExtension
	case c == ' ' || c == '\t':
		b.state = chunkBlanks
	default:
		return bad("an invalid chunk size")
	}
	return nil
}

// readExtension reads what stands between a size and the end of its line.
// Extensions are not interpreted. Blanks may stand before the ";" of one, not
// alone (RFC 9112 section 7.1.1).
func (b *Body) readExtension(c byte) error {
	b.extension++
	b.overhead++
	switch {
	case b.extension > maxExtension, b.overhead > maxOverhead, c < ' ' && c != '\t' && c != '\r', c == 0x7f:
		return bad("an invalid chunk extension")
	case c == '\r' && b.state == chunkBlanks:
		return bad("blanks between a chunk size and its CRLF")
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.state = chunkExtension
	case b.state == chunkBlanks && c != ' ' && c != '\t':
		return bad("an invalid chunk size")
	}
	return nil
}

func (b *Body) endSize(c byte) error {
	if c != '\n' {
		return bad("invalid chunked framing")
	}
	if b.size == 0 {
		b.state = trailerLine
	} else {
		b.state, b.left = chunkData, b.size
		b.overhead -= int(min(int64(b.overhead), b.size/4))
	}
	b.size, b.digits, b.extension = 0, 0, 0
	return nil
}

func (b *Body) endData(c byte) error {
	switch {
	case b.state == chunkDataCR && c == '\r':
		b.state = chunkDataLF
	case b.state == chunkDataLF && c == '\n':
		b.state = chunkSize
	default:
		return bad("invalid chunked framing")
	}
	return nil
}

// readTrailer checks the trailer section, with the empty line that ends the body, and drops
// it unless KeepTrailer was called.
func (b *Body) readTrailer(c byte) error {
	if b.trailer++; b.trailer > maxTrailer {
		return bad("too large trailers")
	}
	if b.kept != nil {
		*b.kept = append(*b.kept, c)
	}
	switch b.state {
	case trailerLF, trailersLF:
		if c != '\n' {
			return bad("a bare CR in the trailers")
		}
		if b.state == trailerLF {
			b.state = trailerLine
		} else {
			b.state = bodyEnded
		}
	case trailerValue:
		if c == '\r' {
			b.state = trailerLF
		} else if classes[c]&inValue == 0 {
			return bad("an invalid trailer field")
		}
	default: // trailerLine, trailerName
		switch {
		case c == '\r' && b.state == trailerLine:
			b.state = trailersLF
		case c == ':' && b.state == trailerName:
			b.state = trailerValue
		case !proxy.IsTokenByte(c):
			return bad("an invalid trailer field")
		default:
			b.state = trailerName
		}
	}
	return nil
}
