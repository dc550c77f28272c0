package h1

import (
	"io"
	"math"
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
	overhead  int   // bytes of extensions of all chunks
	trailer   int   // bytes of the trailer section so far
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
	maxOverhead   = 16 << 10 // extensions of all chunks
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
