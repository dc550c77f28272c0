package h1

import (
	"strconv"

	"alicorn/proxy"
)

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
	if v := hexValue(c); v >= 0 {
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

// readTrailer checks and drops the trailer section, with the empty line that ends
// the body.
func (b *Body) readTrailer(c byte) error {
	if b.trailer++; b.trailer > maxTrailer {
		return bad("too large trailers")
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

// LastChunk ends a chunked body, without trailers.
const LastChunk = "0\r\n\r\n"

// ChunkEnd follows the data of a chunk.
const ChunkEnd = "\r\n"

// AppendChunkSize appends the line that a chunk of n bytes begins with. n is not
// 0: that would end the body.
func AppendChunkSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), '\r', '\n')
}
