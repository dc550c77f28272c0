package h1

import (
	"io"
	"math"

	"alicorn/proxy"
)

// Body follows the framing of one message body. The zero Body has no bytes.
//
// If Left is more than 0, data comes next: the caller takes it from where it is, at most
// Left bytes, and calls Take. If Left is 0 and the body has not Ended, framing comes next:
// Frame consumes it.
type Body struct {
	left      int64 // bytes of the body, or of the current chunk, that were not taken yet
	state     bodyState
	size      int64   // the size of the chunk that begins, as far as it was read
	digits    int     // how many digits of size were read
	extension int     // bytes of extensions of the chunk that begins
	overhead  int     // bytes of extensions of all chunks, less a quarter of the data; see maxOverhead
	trailer   int     // bytes of the trailer section so far
	kept      *[]byte // takes the trailer section; nil drops it
	err       error
}

// bodyState is what comes next in a body.
type bodyState uint8

const (
	bodyEnded      bodyState = iota
	bodyData                 // data of a body with a length
	bodyRest                 // data of a body that ends with the connection
	chunkSize                // the digits of a chunk's size
	chunkBlanks              // blanks after the size, and then an extension
	chunkExtension           // an extension, or the CR that ends the line of the size
	chunkSizeLF              // the LF that ends the line of the size
	chunkData
	chunkDataCR  // the CR after the data of a chunk
	chunkDataLF  // the LF after that CR
	trailerLine  // the start of a line of the trailer section
	trailerName  // the rest of a name, with its colon
	trailerValue // a value, with the CR that ends its line
	trailerLF    // the LF of such a line
	trailersLF   // the LF of the empty line that ends the body
)

// Bounds of chunked framing, without the data.
const (
	maxSizeDigits = 15
	maxExtension  = 1 << 10  // bytes of extensions of one chunk
	maxOverhead   = 16 << 10 // bytes of extensions of all chunks, without those for which data has come: one for four bytes, as for signed chunks
	maxTrailer    = 8 << 10  // bytes of the trailer section
)

// NewBody returns a chunked Body, or one of length bytes. If length is negative, the body
// ends with the connection.
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

// Left returns how many bytes of data come before the next framing or the end: at most
// math.MaxInt64, which is what it begins with for a body that ends with the connection.
func (b *Body) Left() int64 { return b.left }

// EndsWith reports whether the body has a length, and ends with its next n bytes.
func (b *Body) EndsWith(n int) bool { return b.state == bodyData && b.left == int64(n) }

// Ended reports whether the body is complete.
func (b *Body) Ended() bool { return b.state == bodyEnded }

// Take notes that the caller has taken n bytes of data. n must be at most Left.
func (b *Body) Take(n int64) {
	switch b.left -= n; {
	case b.left > 0:
	case b.state == bodyData:
		b.state = bodyEnded
	case b.state == chunkData:
		b.state = chunkDataCR
	}
}

// EOF notes that the connection has ended. It returns io.ErrUnexpectedEOF if the body is
// incomplete.
func (b *Body) EOF() error {
	if b.state != bodyRest && b.state != bodyEnded {
		return io.ErrUnexpectedEOF
	}
	b.state, b.left = bodyEnded, 0
	return nil
}

// KeepTrailer makes Frame append the trailer section of a chunked body to dst: at most
// 8 KiB, of valid fields, with the empty line that ends the body.
func (b *Body) KeepTrailer(dst *[]byte) { b.kept = dst }

// Frame consumes the framing at the start of p, up to data, the end of the body or the end
// of p. It returns how many bytes that was. err is an *Error, which later calls return,
// too.
func (b *Body) Frame(p []byte) (n int, err error) {
	for n < len(p) && b.left == 0 && b.state != bodyEnded && b.err == nil {
		b.err = b.step(p[n])
		n++
	}
	return n, b.err
}

// step reads one byte of chunked framing (RFC 9112 section 7.1).
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

// readSize reads the digits of a chunk's size and the byte after them.
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

// readExtension reads the bytes between a size and the end of its line. Extensions are not
// interpreted. Blanks may stand before an extension, but not alone (RFC 9112 section
// 7.1.1).
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

// endSize reads the LF that ends the line of a size, and begins the chunk.
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

// endData reads the CRLF after the data of a chunk.
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

// readTrailer reads and checks the trailer section and the empty line that ends the body.
func (b *Body) readTrailer(c byte) error {
	if b.trailer++; b.trailer > maxTrailer {
		return bad("trailers of more than 8 KiB")
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
